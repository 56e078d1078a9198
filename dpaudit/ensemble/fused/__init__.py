"""Whole trials of linear stacks, compiled at run time by numba: one core trains one model at a time, in its cache."""

from dpaudit.ensemble.fused.train import Options, Told, applies, train

__all__ = ["Options", "Told", "applies", "train"]
