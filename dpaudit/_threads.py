"""One thread for the arithmetic of evidence."""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["one_blas_thread"]


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Numpy's linear algebra takes one thread inside the block (also as a decorator).

    Its threads wait by spinning: where workers keep all cores busy, small products, of which betting makes thousands,
    took thirty times as long with two threads as with one.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield
