"""Crafted canaries: recipes that turn a data set into the two neighbouring worlds of an audit.

Every recipe takes the data as the training function takes it, an ``(x, y)`` pair of numpy arrays or torch tensors or
a torch ``Dataset``, and returns ``Neighbors`` that hold the same kind: D0 is the data itself, D1 differs in the canary.
"""

from canaries._blank import blank
from canaries._dead_feature import dead_feature
from canaries._extreme import extreme
from canaries._mislabeled import mislabeled
from canaries._noise import noise
from canaries._out_of_distribution import out_of_distribution
from canaries._watermark import watermark

__all__ = ["blank", "dead_feature", "extreme", "mislabeled", "noise", "out_of_distribution", "watermark"]
