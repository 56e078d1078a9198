"""Whether training takes in the data it is given; an audit of one that does not sees nothing."""

from collections.abc import Iterator

from dpaudit.checks.findings import Finding
from dpaudit.checks.observe import CannotSee, View

__all__ = ["training_data"]

_NAME = "training data"


def training_data(view: View) -> Iterator[Finding]:
    """A private optimizer that steps, over as many records as the data set holds, another number for another one."""
    taken = view.taken_in()
    if not taken.stepped:
        yield Finding(
            _NAME,
            "fault",
            "a model was made private, and no step of its optimizer was taken",
            "at least one",
            cause="the loop never steps the optimizer that make_private returned",
            remedy="call .step() of that optimizer, on batches of the loader that make_private returned",
        )
        return
    known = [(given, seen) for given, seen in taken.records if given is not None and seen is not None]
    if not known:
        yield from _by_releases(view)
        return
    given, seen = zip(*known, strict=True)
    if len(set(given)) > 1 and len(set(seen)) == 1:
        yield Finding(
            _NAME,
            "fault",
            f"data sets of {' and '.join(map(str, sorted(set(given))))} records are trained on as {seen[0]} each",
            "the data set at hand",
            cause="training takes no notice of the data it is given: the worlds are one, no audit tells them apart",
            remedy="train(data, seed) has to train on `data`",
        )
        return
    fewer = [(n, k) for n, k in known if k < n]
    if fewer:
        n, k = fewer[0]
        yield Finding(
            _NAME,
            "warning",
            f"{k} of {n} records reach the loader",
            f"{n}",
            cause="training leaves records out; if the canary is one of them, its worlds are one",
            remedy="train on all of `data`, or see that the canary is kept",
        )
        return
    yield Finding(_NAME, "ok", "all records reach the loader", "all")


def _by_releases(view: View) -> Iterator[Finding]:
    made = view.releases()
    if not made.included or not made.continuous:
        raise CannotSee("the data set behind the loader was not seen")
    if made.included == made.first:
        yield Finding(
            _NAME,
            "warning",
            "with the same seed D1 gives the release of D0",
            "another one",
            cause="the data set is ignored, or the canary was in no batch",
            remedy="train(data, seed) has to train on `data`; or raise the sample rate, or the number of steps",
        )
        return
    yield Finding(_NAME, "ok", "with the same seed D0 and D1 give other releases", "other ones")
