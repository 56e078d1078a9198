"""What an audit hands over: one `Report`, rendered as text, JSON and plots."""

from dpaudit.report.parts import History, Note, TrialCounts
from dpaudit.report.report import Report, RequirementError
from dpaudit.report.save import writers

__all__ = ["History", "Note", "Report", "RequirementError", "TrialCounts", "writers"]
