"""Numbers that are NOT guarantees: each rests on a model or a limit theorem, says which, and reaches no verdict."""

from dpaudit.methods.estimates.gaussian_fit import effective_noise_multiplier, gaussian_fit
from dpaudit.methods.estimates.joint_beta import joint_beta
from dpaudit.methods.estimates.ratio import adjusted_log, bailey, inverse_sinh, jeffreys, katz

__all__ = [
    "adjusted_log",
    "bailey",
    "effective_noise_multiplier",
    "gaussian_fit",
    "inverse_sinh",
    "jeffreys",
    "joint_beta",
    "katz",
]
