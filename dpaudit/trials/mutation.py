"""Whether somebody changes the data set that was only to be read."""

from typing import Any

from dpaudit.digest import digest_of
from dpaudit.errors import UsageError
from dpaudit.trials.notices import Notices
from dpaudit.trials.text import describe

__all__ = ["MutationGuard"]


class MutationGuard:
    """Compares the worlds' content with what it was before the first trial in this process.

    A worker loads the worlds once, so a change in place makes every later trial depend on the earlier ones, and coins
    no longer explain the difference between releases: such an audit could refute anything. A look costs about as much
    as reading the data set, so it is taken after the 1st, 2nd, 4th, 8th ... trial of each world; a mechanism that
    always writes to its data never gets past the pilot runs. Pickled, it forgets: another process has its own worlds.
    """

    def __init__(self) -> None:
        self._trials: dict[bool, int] = {}
        self._digests: dict[bool, str | None] = {}  # None: cannot be compared

    def __reduce__(self) -> tuple[type["MutationGuard"], tuple[()]]:
        return MutationGuard, ()

    def before(self, included: bool, data: Any, notices: Notices) -> None:
        """Take down the world's content, the first time it is played here."""
        if included not in self._digests:
            self._digests[included] = _digest(data, notices)

    def after(self, included: bool, data: Any, notices: Notices) -> None:
        """Look, if it is time.

        Raises:
            UsageError: the data changed.
        """
        played = self._trials[included] = self._trials.get(included, 0) + 1
        first = self._digests.get(included)
        if first is None or played & (played - 1):
            return
        now = _digest(data, notices)
        if now == first:
            return
        if now is None or now != _digest(data, notices):  # random augmentation in a data set's __getitem__
            self._digests[included] = None
            notices.add("the data set reads differently each time: changes to it in place would not be noticed")
            return
        world = "D1" if included else "D0"
        raise UsageError(
            f"the training function (or the attack) changes its data in place: {world} is not what it was "
            f"{played} trial(s) ago, and later trials would depend on earlier ones",
            remedy="data = copy.deepcopy(data) as the first line of the training function",
        )


def _digest(data: Any, notices: Notices) -> str | None:
    try:
        return digest_of(data)
    except Exception as error:
        notices.add(f"the data set cannot be watched for changes in place: {describe(error)}")
        return None
