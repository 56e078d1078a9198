"""Philox4x32-10 in torch's integer operations: the portable form, the same words on every device.

Reference: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""

import math

import numpy as np
import torch
from torch import Tensor

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
_LOW = 0xFFFFFFFF


def words(counter: tuple[Tensor | int, ...], key: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Four 32-bit words, as int64, for each counter.

    Args:
        counter: four broadcastable values in [0, 2^32).
        key: two broadcastable int64 tensors in [0, 2^32).
    """
    one, two = key
    shape = np.broadcast_shapes(one.shape, *(part.shape for part in counter if isinstance(part, Tensor)))
    c = [torch.as_tensor(part, dtype=torch.int64, device=one.device).expand(shape) for part in counter]
    for _ in range(ROUNDS):
        # the product wraps modulo 2^64; its two halves are right all the same
        low, high = c[0] * MULTIPLIERS[0], c[2] * MULTIPLIERS[1]
        c = [
            ((high >> 32) & _LOW) ^ c[1] ^ one,
            high & _LOW,
            ((low >> 32) & _LOW) ^ c[3] ^ two,
            low & _LOW,
        ]
        one, two = (one + WEYL[0]) & _LOW, (two + WEYL[1]) & _LOW
    return c[0], c[1], c[2], c[3]


def normals(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two independent standard normals (float32) from two words, by Box-Muller; |z| <= 6.77."""
    uniform = first.to(torch.float32).add_(0.5).mul_(2.0**-32)
    radius = uniform.log_().mul_(-2.0).sqrt_()
    # as a signed word the angle keeps its precision near zero
    angle = torch.where(second >= 2**31, second - 2**32, second).to(torch.float32).mul_(2.0 * math.pi * 2.0**-32)
    return radius * angle.cos(), radius * angle.sin()
