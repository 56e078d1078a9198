"""Layers of many models at once: forward, backward, per-sample norms and clipped sums."""

from dpaudit.ensemble.layers.activation import GELU, ReLU, Tanh
from dpaudit.ensemble.layers.conv import Conv2d
from dpaudit.ensemble.layers.embedding import Embedding
from dpaudit.ensemble.layers.flatten import Flatten
from dpaudit.ensemble.layers.linear import Linear
from dpaudit.ensemble.layers.normalization import Norm
from dpaudit.ensemble.layers.pooling import AvgPool2d, MaxPool2d
from dpaudit.ensemble.layers.protocol import Layer, Plain, Shape

__all__ = [
    "GELU",
    "AvgPool2d",
    "Conv2d",
    "Embedding",
    "Flatten",
    "Layer",
    "Linear",
    "MaxPool2d",
    "Norm",
    "Plain",
    "ReLU",
    "Shape",
    "Tanh",
]
