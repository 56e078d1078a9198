"""A report as one HTML file that needs nothing else: no script, no font, no picture from anywhere."""

from dpaudit.report.html.audit import notebook_html, report_html, write_html

__all__ = ["notebook_html", "report_html", "write_html"]
