"""The game as one file, shipped once a worker; a task then carries a handful of numbers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

from dpaudit.errors import AuditError, UsageError
from dpaudit.trials.by_value import modules_by_value
from dpaudit.trials.game import Game
from dpaudit.trials.leftovers import folder_of_this_process, give_up, sweep
from dpaudit.trials.text import describe

__all__ = ["Payload", "PayloadError", "game_of", "read_payload", "registered"]


class PayloadError(AuditError):
    """A worker cannot load the game: no trial can run there, and none is to blame."""


class Payload:
    """One game and, once somebody asks for it, its file in a private temporary folder. Use it in a ``with``.

    The file is a pickle, made and read by this run alone and deleted at the end; ledgers and reports never hold one.

    Args:
        game: what to play.
        by_value: further modules to ship inside the file instead of importing them in the worker; those that define
            the mechanism, the attack and the data are found by themselves.
    """

    def __init__(self, game: Game, *, by_value: Sequence[ModuleType] = ()) -> None:
        self.game = game
        self._by_value = tuple(by_value)
        self._written: tuple[Path, str] | None = None

    def file(self) -> tuple[Path, str]:
        """The file and the digest of its content; written on the first call.

        Raises:
            UsageError: the game cannot be pickled, or no temporary folder takes it.
        """
        if self._written is None:
            content = self._dump()
            sweep()
            try:
                path = folder_of_this_process() / "game.pickle"
                self._written = path, _digest(content)  # before it is written: a full disk leaves no folder
                path.write_bytes(content)
            except OSError as error:
                self.close()
                raise UsageError(
                    "the game cannot be written to a temporary folder, from which workers read it",
                    got=error.strerror,
                    remedy="TMPDIR=/somewhere/else, or --workers 0",
                ) from None
        return self._written

    def close(self) -> None:
        """Delete the file."""
        if self._written is not None:
            give_up(self._written[0].parent)
            self._written = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _dump(self) -> bytes:
        import cloudpickle

        parts = (self.game.mechanism, self.game.attack, self.game.neighbors)
        modules = {m.__name__: m for m in (*modules_by_value(*parts), *self._by_value)}
        try:
            with registered(list(modules.values())):
                return bytes(cloudpickle.dumps(self.game))
        except Exception as error:
            raise UsageError(
                "the mechanism, the data or the attack cannot be sent to a worker process",
                got=describe(error),
                remedy="create files, locks and generators inside the training function, or run with workers=0",
            ) from error


def read_payload(path: str, digest: str) -> Game:
    """The game in the file at `path`, after its content was checked against `digest`.

    Raises:
        PayloadError: missing, changed, or it does not load here.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise PayloadError(f"a worker cannot read the audit's payload ({describe(error)})") from None
    return game_of(content, digest)


def game_of(content: bytes, digest: str) -> Game:
    """The game that `content` is the pickle of, after it was checked against `digest`.

    Raises:
        PayloadError: changed, or it does not load here.
    """
    import pickle

    if _digest(content) != digest:
        raise PayloadError("the audit's payload is not the one that was written")
    try:
        game: Any = pickle.loads(content)
    except Exception as error:
        raise PayloadError(f"the audit's payload does not load in a worker: {describe(error)}") from None
    if not isinstance(game, Game):
        raise PayloadError(f"the audit's payload holds a {type(game).__name__}, not a game")
    return game


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


@contextmanager
def registered(modules: list[ModuleType]) -> Iterator[None]:
    """Inside the block cloudpickle takes these modules by value."""
    import cloudpickle

    already = set(cloudpickle.list_registry_pickle_by_value())
    ours = [m for m in modules if m.__name__ not in already and m.__name__ != "__main__"]
    for module in ours:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in ours:
            cloudpickle.unregister_pickle_by_value(module)
