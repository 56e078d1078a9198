"""DP-SGD for thousands of small models at once."""

from dpaudit.ensemble.canary import GradientCanary
from dpaudit.ensemble.engine import Ensemble, train
from dpaudit.ensemble.injected import Injected
from dpaudit.ensemble.optimizers import SGD, Adam
from dpaudit.ensemble.pool import Pool
from dpaudit.ensemble.sampling import FullBatch, Poisson, Shuffle
from dpaudit.ensemble.stack import Stack
from dpaudit.ensemble.steps import Moment, Steps
from dpaudit.ensemble.trained import Trained, Transcript
from dpaudit.ensemble.training import Training

__all__ = [
    "SGD",
    "Adam",
    "Ensemble",
    "FullBatch",
    "GradientCanary",
    "Injected",
    "Moment",
    "Poisson",
    "Pool",
    "Shuffle",
    "Stack",
    "Steps",
    "Trained",
    "Training",
    "Transcript",
    "train",
]
