"""Preflight: a few watched steps, each property that DP-SGD must have measured against what was declared."""

from dpaudit.checks.findings import Finding, Findings, Severity

__all__ = ["Finding", "Findings", "Severity"]
