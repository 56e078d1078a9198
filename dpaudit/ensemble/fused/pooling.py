# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# (numba types these functions itself)
"""Max pooling of images with their channels last; `places` and `taps` as for `dpaudit.ensemble.fused.images`."""

from typing import Any

import numpy as np

from dpaudit.ensemble.fused import lanes as v
from dpaudit.ensemble.fused.compiling import digest, entry
from dpaudit.ensemble.fused.images import clear
from dpaudit.ensemble.fused.vectors import FLOATS, LANES, emitted

__all__ = ["pool", "unpool"]


@emitted(FLOATS, FLOATS, FLOATS, FLOATS, FLOATS)
def where_larger(builder: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    """X where a > b or a is NaN, else y: what torch's max pooling goes on with."""
    return builder.select(builder.or_(builder.fcmp_ordered(">", a, b), builder.fcmp_unordered("uno", a, a)), x, y)


@emitted(FLOATS, FLOATS, FLOATS, FLOATS, FLOATS)
def where_same(builder: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    """X where a = b, else y."""
    return builder.select(builder.fcmp_ordered("==", a, b), x, y)


def _entries(sources: int) -> tuple[Any, ...]:
    def pool(images, image, size, places, taps, channels, out, index):
        """The largest of each window, and the number of its tap."""
        if sources < 0:
            return
        for i in range(images):
            for p in range(len(places)):
                at, to = i * size + places[p], (i * len(places) + p) * channels
                for c in range(0, channels, LANES):
                    count = channels - c
                    best, which = v.load_first(image, at + taps[0] + c, count), v.spread(0.0)
                    for t in range(1, len(taps)):
                        x = v.load_first(image, at + taps[t] + c, count)
                        which = where_larger(x, best, np.float32(t), which)
                        best = where_larger(x, best, x, best)
                    v.store_first(out, to + c, count, best)
                    v.store_first(index, to + c, count, which)

    def unpool(images, b, index, size, places, taps, channels, image):
        """Derivatives back to where the largest were."""
        if sources < 0:
            return
        for i in range(images):
            clear(image, i * size, size)
            for p in range(len(places)):
                at, to = i * size + places[p], (i * len(places) + p) * channels
                for c in range(0, channels, LANES):
                    count = channels - c
                    x, which = v.load_first(b, to + c, count), v.load_first(index, to + c, count)
                    for t in range(len(taps)):
                        where = at + taps[t] + c
                        part = where_same(which, np.float32(t), x, 0.0)
                        v.store_first(image, where, count, v.add(v.load_first(image, where, count), part))

    return entry(pool), entry(unpool)


pool, unpool = _entries(digest())
