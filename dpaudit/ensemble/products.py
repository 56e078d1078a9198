"""Batched products whose bits do not depend on how many models or how much padding there is.

A result must be the same in any chunk, so four habits of torch and MKL are kept out: torch sums products of fewer
than 400 terms by itself, in another order; a product with one column becomes matrix times vector; MKL cuts sums of
more than about 200 terms into panels that depend on their length; and its kernels depend on whether a matrix starts
at a multiple of 64 bytes. What is left was measured, not promised: with records padded to multiples of 16, MKL's
results do not depend on the padding (tests/ensemble has the comparison). Another BLAS, a GPU, or a 1x1 convolution
from one channel to one may differ in the last digit.
"""

import math

import torch
from torch import Tensor

from dpaudit.ensemble.scratch import Scratch

PANEL = 192  # records summed in one go
LINE = 16  # floats in 64 bytes; the least padding of a batch
LARGE = 2**14  # entries; above that a matrix is worth a call of its own
SMALL = 400  # terms; below that torch does not call MKL


def narrowest(*shapes: tuple[int, int]) -> int:
    """Records that a batch must be padded to at least, for products with records and matrices of these shapes."""
    least = max((-(-SMALL // (rows * columns)) for rows, columns in shapes), default=LINE)
    return max(LINE, -(-least // LINE) * LINE)


def padded(records: int, quantum: int, least: int) -> int:
    """Width of a batch of so many records: a multiple of `quantum`, its last panel no narrower than `least`."""
    width = -(-max(least, records) // quantum) * quantum
    rest = width % PANEL
    return width if rest == 0 or rest >= least or least > PANEL else -(-(width - rest + least) // quantum) * quantum


def copies(length: int) -> int:
    """How many equal columns make a product with vectors of this length a large one whose matrices fill lines."""
    line = LINE // math.gcd(length, LINE)
    return -(-max(2, -(-SMALL // (LINE * length))) // line) * line


def aligned(models: int, size: int, device: torch.device) -> Tensor:
    """(models, size) of zeros, each row at the start of a line of 64 bytes, as are those of its `whole`."""
    return torch.zeros(models, -(-size // LINE) * LINE, device=device)[:, :size]


def whole(rows: Tensor) -> Tensor:
    """The rows of `aligned` with their padding: contiguous."""
    return rows.as_strided((rows.shape[0], rows.stride(0)), (rows.stride(0), 1))


def multiply(left: Tensor, right: Tensor, out: Tensor, plus: Tensor | None = None) -> Tensor:
    """``out = left @ right + plus`` for (M, rows, inner), (M, inner, columns) and (M, rows, 1); `out` contiguous."""
    if len(out) == 1 and 1 in (*out.shape[1:], left.shape[2]):  # one vector alone: two of it are matrices
        more = None if plus is None else _double(plus)
        return out.copy_(multiply(_double(left), _double(right), _double(out), more)[:1])
    if plus is None:
        return torch.bmm(left, right, out=out)
    return torch.baddbmm(plus, left, right, out=out)


def _double(one: Tensor) -> Tensor:
    """(2, rows, columns) from (1, rows, columns), in the same order in memory."""
    if one.stride(1) == 1 and one.stride(2) > 1:
        return one.transpose(1, 2).repeat(2, 1, 1).transpose(1, 2)
    return one.repeat(2, 1, 1)


def sum_records(left: Tensor, right: Tensor, out: Tensor, scratch: Scratch) -> None:
    """``out = left @ right`` for (M, rows, W) and (M, W, columns): a sum over records, in panels of fixed length.

    Where `out` is not contiguous torch goes through it matrix by matrix: small ones take a way round.
    """
    if right.shape[2] == 1:
        weigh_records(left.transpose(1, 2), right[:, :, 0], out, scratch)
        return
    if left.shape[1] == 1:
        weigh_records(right, left[:, 0], out, scratch)
        return
    size = out.shape[1] * out.shape[2]
    if size > LARGE or size % LINE > 0:
        _panels(left, right, out)
    else:  # also where `out` is contiguous because it is of one model: it may start anywhere in a line
        out.copy_(_panels(left, right, scratch.get("sum", tuple(out.shape))))


def _panels(left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    multiply(left[:, :, :PANEL], right[:, :PANEL], out)
    for start in range(PANEL, left.shape[2], PANEL):
        panel = slice(start, start + PANEL)
        multiply(left[:, :, panel], right[:, panel], out, out)
    return out


def weigh_records(g: Tensor, factors: Tensor, out: Tensor, scratch: Scratch) -> None:
    """``out = sum_i factor_i g_i`` for gradients (M, W, N) that were formed and (M, W); `out` (M, ...) of N each."""
    models, width, length = g.shape
    many = copies(length)
    repeated = scratch.get("factors", (models, many, width)).copy_(factors.unsqueeze(1))
    held = scratch.get("weighed", (models, many, length))
    _panels(repeated, g, held)
    out.copy_(held[:, 0].view(out.shape))


def row_squares(a: Tensor, scratch: Scratch) -> Tensor:
    """(M, W) squared norms of the rows of (M, W, F)."""
    models, width, features = a.shape
    last = a.stride(1) == 1 and a.stride(2) == width  # records last in memory
    memory = a.transpose(1, 2) if last else a
    squared = torch.mul(memory, memory, out=scratch.get("squared", tuple(memory.shape), a.dtype))
    # rows of ones on the left: MKL is several times slower with columns of them on the right
    ones = scratch.filled(1.0, (models, copies(features), features), a.dtype)
    return torch.bmm(ones, squared if last else squared.transpose(1, 2))[:, 0]
