"""A few watched steps before any trial: does the mechanism do what it declares?"""

from concurrent.futures import Executor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dpaudit import defaults
from dpaudit.adjacency import Adjacency
from dpaudit.checks import Finding, Findings
from dpaudit.claim import Claim
from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors, records_in
from dpaudit.trials import Payload, Pilot
from dpaudit.trials.shipping import FileSource, Source, source_for

if TYPE_CHECKING:
    from dpaudit._definition import Audit

__all__ = ["before_trials", "preflight", "view_of"]

_PATIENCE = 120.0  # seconds for a preflight in a worker; no check begins after 25 of them
_MOST_SEED = 2**32 - 8  # runs take the seeds from there


def preflight(train: Any, neighbors: Neighbors, claim: Claim, *, seed: int = 0) -> Findings:
    """Measure sensitivity, noise, sampling and bookkeeping on a few steps, against what is declared and claimed.

    Most implementation bugs show in seconds, deterministically or with a p-value of their own. A finding is not a
    verdict: the trials of an audit prove it, and a clean preflight proves nothing.

    Of an Opacus program, and of `dpaudit.mechanisms.DPSGD`, every step is seen; of any other function its releases.
    Faults are called only where a deterministic property is broken, or with p < 1e-6.

    Looked at: records in which the worlds differ; gradients that depend on other records; the clipped sum with and
    without the canary, another record, a canary of another scale; the noise in every leaf, step and world, and on an
    empty batch; noise that comes again in another leaf, step or trial; non-finite records; settings derived from the
    size of the data set; whatever but the noised sum reaches the optimizer, the buffers or the number of steps; batches
    against coins at the claimed rate; epsilon of the parameters in use, by privacy loss distributions; adjacency and
    seeds.

    Args:
        train: ``train(data, seed)``, or a mechanism; it is run about ten times, most of them cut short.
        neighbors: D0 and D1.
        claim: what is claimed.
        seed: of the runs, a whole number in [0, 2^32 - 8).

    Returns:
        The findings, faults first, the most likely cause before the others.

    Raises:
        UsageError: something that is no mechanism, no neighbours, no claim, a seed out of its range.
    """
    from dpaudit.checks.look import look

    if not isinstance(neighbors, Neighbors) or not isinstance(claim, Claim):
        raise UsageError(
            "preflight", allowed="preflight(train, dpa.Neighbors, dpa.Claim)", got=(type(neighbors), type(claim))
        )
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < _MOST_SEED:
        raise UsageError("seed of a preflight", allowed="a whole number in [0, 2^32 - 8)", got=seed)
    return look(view_of(defaults.as_mechanism(train, neighbors), neighbors, seed), claim, neighbors)


def view_of(mechanism: Any, neighbors: Neighbors, seed: int) -> Any:
    """The best means to see this mechanism."""
    if mechanism.engine.startswith("ensemble"):
        from dpaudit.checks.observe.ensemble import EnsembleView
        from dpaudit.checks.observe.per_record import PerRecordView
        from dpaudit.mechanisms.dp_sgd import DPSGD
        from dpaudit.mechanisms.faults.changed import Changed
        from dpaudit.mechanisms.faults.per_record import PerRecord

        match mechanism:
            case DPSGD():
                return EnsembleView(mechanism, neighbors, seed)
            case Changed():
                return EnsembleView(mechanism.mechanism, neighbors, seed, _prepared(mechanism.world, neighbors))
            case PerRecord():
                return PerRecordView(mechanism, neighbors, seed)
    from dpaudit.checks.observe.program import ProgramView

    return ProgramView(mechanism, neighbors, seed)


def _prepared(world: Any, neighbors: Neighbors) -> Neighbors:
    """The neighbours as they are trained on; how they may differ is not asked of them."""
    zero, one = world(neighbors.excluded), world(neighbors.included)
    more = (records_in(one) or 0) - (records_in(zero) or 0)
    adjacency = Adjacency.ADD_OR_REMOVE_ONE if more > 0 else Adjacency.REPLACE_ONE
    return replace(neighbors, excluded=zero, included=one, canaries=max(1, more), adjacency=adjacency)


def before_trials(audit: "Audit", payload: Payload, pilot: Pilot) -> Findings | None:
    """The preflight at the start of an audit; None where there are no steps to watch.

    A training function that never was seen to use Opacus is not run again for its release alone. One that does is
    watched where its trials run: a function that takes its process down must not take the audit down.
    """
    mechanism = defaults.as_mechanism(audit.train, audit.neighbors)
    private = any(name.startswith("opacus.") for name in pilot.excluded.facts)
    if not private and not mechanism.engine.startswith("ensemble"):
        return None
    seed, here = audit.seed % _MOST_SEED, audit.workers == 0 or not private
    try:
        if here:
            return preflight(mechanism, audit.neighbors, audit.claim, seed=seed)
        path, digest = payload.file()
        given = audit.executor if isinstance(audit.executor, Executor) else None
        source = FileSource(str(path)) if given is None else source_for(given, path, carried=True)
        return _elsewhere(given, (source, digest, audit.claim, seed))
    except Exception as error:  # whatever happens there, the audit goes on
        told = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return Findings((Finding("preflight", "skipped", f"no steps were watched: {told}"),))


def watch_task(source: Source, digest: str, claim: Claim, seed: int) -> Findings:
    """What a worker does."""
    from dpaudit.trials.payload import game_of

    game: Any = game_of(source.read(), digest)
    return preflight(game.mechanism, game.neighbors, claim, seed=seed)


def _elsewhere(given: Executor | None, task: tuple[Source, str, Claim, int]) -> Findings:
    """In a process of its own."""
    from dpaudit.trials.executors import local_executor

    executor: Any = local_executor(1) if given is None else given
    try:
        made: Findings = executor.submit(watch_task, *task).result(timeout=_PATIENCE)
        return made
    finally:
        if given is None:
            executor.shutdown(wait=True, kill_workers=True)
