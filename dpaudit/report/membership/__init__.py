"""What a membership study hands over: one `MembershipReport`, rendered as text, JSON, tables and plots."""

from dpaudit.report.membership.measure import measure
from dpaudit.report.membership.report import HEADLINE, MembershipReport

__all__ = ["HEADLINE", "MembershipReport", "measure"]
