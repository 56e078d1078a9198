"""From flat parameters to modules and back: what the ensemble engine has, by the name it has here."""

from dpaudit.ensemble.models import Models

__all__ = ["Models"]
