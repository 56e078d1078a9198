"""Seeing a training function: every step where it trains with Opacus, else what it releases."""

import logging
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from dpaudit.checks.observe.seen import Batches, CannotSee, Declared, Pair, Releases, Run, TakenIn
from dpaudit.checks.observe.worlds import Small, resized, small_worlds
from dpaudit.digest import arrays_in, digest_of
from dpaudit.mechanisms.protocol import Mechanism
from dpaudit.neighbors import Neighbors, WithGradient, records_in
from dpaudit.release import Release
from dpaudit.trials.notices import Notices
from dpaudit.trials.seeding import one_torch_thread, seed_everything

__all__ = ["ProgramView"]

_KEEP = 3
_SEVERAL = 4  # floats


@dataclass(eq=False)
class _Watched:
    """One run of the user's function: what its steps were, what it said of itself, what it released."""

    run: Run
    declared: Declared
    sizes: tuple[int, ...] = ()
    records: int | None = None
    release: str | None = None
    continuous: bool = False
    several: bool = False


@dataclass(eq=False)
class ProgramView:
    """A mechanism that runs the user's own code.

    Args:
        mechanism: `Function`, or any other with ``run(data, seed)``.
        neighbors: the two worlds.
        seed: of the runs.
        seconds: at most, for the one run that is followed to its end.
        limit: seconds after which no further run is begun.
    """

    mechanism: Mechanism
    neighbors: Neighbors
    seed: int
    seconds: float = 8.0
    limit: float = 25.0
    _began: float = field(init=False, default_factory=time.monotonic)
    _refused: CannotSee | None = field(init=False, default=None)

    def declared(self, included: bool) -> Declared:
        """As Opacus's objects say."""
        return (self._forced if included else self._first).declared

    def taken_in(self) -> TakenIn:
        """As the size of the data set behind the loader tells."""
        first, included = self._first, self.neighbors.included
        if first.records is None:
            return TakenIn()
        if not first.run.steps:
            return TakenIn(stepped=False)
        world = included.data if isinstance(included, WithGradient) else included
        sizes = [(records_in(self.neighbors.excluded), first.records), (records_in(world), self._forced.records)]
        with suppress(CannotSee):
            sizes.append((records_in(self._small.without), self._small_without.records))
        return TakenIn(tuple(sizes))

    def differing(self) -> tuple[int, bool]:
        """By content, of the data as the user gives them."""
        return self._small.added, False

    def pairs(self) -> Sequence[Pair]:
        """A few records, all in one batch: with and without the canary, and with and without one of themselves."""
        self._private(self._first)
        small, without = self._small, self._small_without
        if small.added > small.changed:
            raise CannotSee("the worlds differ in more than the canary")
        if self._random_gradients:
            raise CannotSee("gradients are drawn anew in each run (dropout, augmentation): sums cannot be compared")
        grown = []
        if small.included is not None:
            grown.append(("the canary", small.changed, small.replaced, without, self._tiny(small.included)))
        grown.append(("an ordinary record", 1, False, self._tiny(small.fewer), without))
        for factor, data in small.scaled.items():
            grown.append((f"the canary times {factor:g}", small.changed, small.replaced, without, self._tiny(data)))
        found = []
        for what, changed, replaced, one, other in grown:
            if one.run.steps and other.run.steps:
                first, second = one.run.steps[0], other.run.steps[0]
                more, whole = 0 if replaced else changed, small.records - (what == "an ordinary record")
                alike = one.run.start == other.run.start
                if alike and first.size == whole and second.size == whole + more:  # all of them in one batch
                    found.append(Pair(first, second, changed, replaced, what))
        if not found:
            raise CannotSee("no two batches that differ in one record alone could be arranged")
        return found

    def forced(self) -> tuple[Run, Run]:
        """The first steps, and the state after them."""
        zero, one = self._private(self._first).run, self._forced.run
        if self._first.several or self._forced.several:
            raise CannotSee("several private optimizers train at once: only the first is watched")
        if one.steps and zero.start != one.start:
            raise CannotSee("with one seed D0 and D1 start from other weights: make the model before touching the data")
        return zero, one

    def runs(self) -> Sequence[Run]:
        """Two seeds; the first one to its end, where there is time."""
        return [self._private(self._first).run, self._other.run]

    def batches(self) -> Batches:
        """Sizes, of the run that is followed to its end."""
        seen = self._private(self._first)
        records = seen.records if seen.records is not None else records_in(self.neighbors.excluded)
        if records is None:
            raise CannotSee("the number of records is not known")
        return Batches(np.array([seen.sizes], np.int64), records)

    def empty(self) -> Run:
        """By a sampler whose first batch is made empty."""
        if self._private(self._first).declared.poisson is not True:
            raise CannotSee("batches are not drawn by Opacus's Poisson sampler")
        return self._watch(self.neighbors.excluded, self.seed, empty=True).run

    def non_finite(self) -> tuple[Run, str]:
        """The small world with NaN in the canary."""
        if self._small.nan is None:
            raise CannotSee("no record could be given NaN features")
        return self._tiny(self._small.nan).run, "a record whose features are NaN"

    def releases(self) -> Releases:
        """Of whole trainings where nothing else is seen, else the state after the first steps."""
        excluded, first_run = self.neighbors.excluded, self._first
        if not first_run.run.steps and time.monotonic() - self._began > self.seconds:
            raise CannotSee(f"one training takes more than {self.seconds:g} s; the pilot runs of an audit repeat it")
        again = self._watch(excluded, self.seed)
        if not self._first.run.steps:
            included = self._watch(self.neighbors.included, self.seed)
            made = [one.release or "" for one in (self._first, again, self._other, included)]
            if "" in made:
                raise CannotSee("the release is declared discrete, or cannot be compared")
            return Releases(made[0], made[1], made[2], made[3], continuous=self._first.continuous)
        first, same, other = (
            digest_of([step.noised for step in one.run.steps]) for one in (self._first, again, self._other)
        )
        return Releases(first, same, other, continuous=True)

    def nearby(self) -> Sequence[tuple[int, Declared]]:
        """What the mechanism derives from data sets of about the size of D0."""
        self._private(self._first)
        records = records_in(self.neighbors.excluded)
        if records is None or records < 3:
            raise CannotSee("the number of records is not known")
        sizes = (records - 1, records, records + 1, records + 2)
        return [(n, self._watch(resized(self.neighbors.excluded, n), self.seed, keep=0).declared) for n in sizes]

    @cached_property
    def _first(self) -> _Watched:
        before = _content(self.neighbors.excluded)
        try:
            made = self._watch(self.neighbors.excluded, self.seed, go_on=True)
            if before != _content(self.neighbors.excluded):
                self._refused = CannotSee("the training changes its data in place: later runs would see other data")
                raise self._refused
            return made
        except CannotSee:
            raise
        except Exception as error:
            told = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            self._refused = CannotSee(f"the training raised on D0: {told}")
            raise self._refused from error

    @cached_property
    def _other(self) -> _Watched:
        return self._watch(self.neighbors.excluded, self.seed + 1)

    @cached_property
    def _forced(self) -> _Watched:
        force = [step.noised for step in self._private(self._first).run.steps]
        made = self._watch(self.neighbors.included, self.seed, force=force)
        if isinstance(self.neighbors.included, WithGradient):  # it may have joined any batch
            more = tuple(replace(step, size=(step.size or 0) + 1) for step in made.run.steps)
            made.run = replace(made.run, steps=more)
        return made

    @cached_property
    def _small(self) -> Small:
        return small_worlds(self.neighbors)

    @cached_property
    def _small_without(self) -> _Watched:
        return self._tiny(self._small.without)

    @cached_property
    def _random_gradients(self) -> bool:
        """Whether the sum over the same records at the same weights is another once the generator has moved on."""
        before, after = self._small_without.run, self._tiny(self._small.without, shaken=True).run
        if not before.steps or not after.steps or before.start != after.start:
            return True
        one, other = before.steps[0], after.steps[0]
        return not np.allclose(one.clipped, other.clipped, rtol=1e-3, atol=1e-3 * one.bound, equal_nan=True)

    def _tiny(self, data: Any, *, shaken: bool = False) -> _Watched:
        return self._watch(data, self.seed, keep=1, rows=True, shaken=shaken)

    def _private(self, watched: _Watched) -> _Watched:
        if not watched.run.steps:
            raise CannotSee("no step of an Opacus optimizer was seen: only the release is")
        return watched

    def _watch(self, data: Any, seed: int, *, keep: int = _KEEP, empty: bool = False, **settings: Any) -> _Watched:
        """One run. Nothing of what it prints, warns or draws reaches the caller's process."""
        if self._refused is not None:
            raise self._refused
        if time.monotonic() - self._began > self.limit:
            raise CannotSee(f"out of time after {self.limit:g} s")
        with ExitStack() as stack:
            stack.enter_context(Notices().listen())
            stack.enter_context(_quiet_logging())
            stack.enter_context(_kept_randomness())
            stack.enter_context(one_torch_thread())
            if not _has_opacus():
                release = self._run(data, seed)
                if not _has_opacus():
                    told = _digest(release)
                    return _Watched(Run((), ()), Declared(), release=told, continuous=_continuous(release))
            return _watch_opacus(self._run, data, seed, keep=keep, empty=empty, seconds=self.seconds, **settings)

    def _run(self, data: Any, seed: int) -> Release:
        seed_everything(seed)
        return self.mechanism.run(data, seed)


def _watch_opacus(run: Any, data: Any, seed: int, *, keep: int, empty: bool, **settings: Any) -> _Watched:
    from dpaudit.checks.observe.loaders import LoaderNotes, emptied
    from dpaudit.checks.observe.watcher import Enough, Watcher, snapshot
    from dpaudit.mechanisms.opacus import recording, tapping

    release: Release | None = None
    with ExitStack() as stack:
        recorder = stack.enter_context(recording())
        watcher = Watcher(keep, modules=lambda: [one.module for one in recorder.made], **settings)
        stack.enter_context(tapping(watcher))
        notes = stack.enter_context(LoaderNotes().listening())
        if empty:
            stack.enter_context(emptied())
        try:
            release = run(data, seed)
            ended = True
        except Enough:
            ended = False
    if not watcher.state and watcher.optimizer is not None:
        watcher.state = snapshot([one.module for one in recorder.made], watcher.optimizer)
    taken = watcher.taken if ended else None
    made = Run(tuple(watcher.steps), watcher.leaves, watcher.state, taken, watcher.start)
    declared = notes.declared(watcher, recorder)
    told, continuous = (None, False) if release is None else (_digest(release), _continuous(release))
    return _Watched(
        made, replace(declared, steps=taken), tuple(watcher.sizes), notes.records, told, continuous, watcher.several
    )


def _content(data: Any) -> str | None:
    with suppress(Exception):
        return digest_of(data)
    return None


def _digest(release: Release) -> str | None:
    """None where equal releases are expected, or cannot be told apart."""
    if release.discrete:
        return None
    try:
        return digest_of(release.value)
    except Exception:  # a value of the user's own kind
        return None


def _continuous(release: Release) -> bool:
    """Whether equal releases cannot be chance: several floats; one alone may be rounded."""
    with suppress(Exception):
        return sum(array.size for array in arrays_in(release.value) if array.dtype.kind == "f") >= _SEVERAL
    return False


def _has_opacus() -> bool:
    return hasattr(sys.modules.get("opacus"), "PrivacyEngine")


@contextmanager
def _quiet_logging() -> Iterator[None]:
    """No log line from the user's libraries: their handlers hold the terminal already."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def _kept_randomness() -> Iterator[None]:
    """The global generators as they were, afterwards."""
    torch = sys.modules.get("torch")
    states = random.getstate(), np.random.get_state(), None if torch is None else torch.get_rng_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        if torch is not None and states[2] is not None:
            torch.set_rng_state(states[2])
