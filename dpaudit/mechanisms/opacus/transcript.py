"""The white-box view of a real Opacus training: every noised gradient, while the user's own loop runs unchanged."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from dpaudit.digest import digest_of
from dpaudit.errors import UsageError
from dpaudit.mechanisms.function import Function
from dpaudit.mechanisms.opacus._group import RankRelease, place
from dpaudit.mechanisms.opacus._vectors import Directions
from dpaudit.mechanisms.opacus.insertion import Insertion
from dpaudit.mechanisms.opacus.recording import recording
from dpaudit.mechanisms.opacus.step_log import Recorded, StepLog
from dpaudit.mechanisms.opacus.taps import tapping
from dpaudit.mechanisms.opacus.watch import Watch
from dpaudit.neighbors import CanarySet, WithGradient
from dpaudit.release import Release
from dpaudit.transcript import Transcript

__all__ = ["OpacusTranscript", "explained"]


@dataclass(frozen=True, repr=False, eq=False)
class OpacusTranscript:
    """``train(data, seed)`` under the eyes of an adversary who sees every step, and may insert gradients.

    The user's function runs as it is. For each real step (not the skipped physical batches of `BatchMemoryManager`) the
    release has the gradient that the wrapped optimizer was handed, times the public divisor, projected on `directions`;
    the clipping bound in force; and what the function returned. Under ``WithGradient`` worlds the function gets the
    plain data in both, and in D1 the gradient joins the batches by a coin of its own at `sample_rate`, before the
    implementation's own clipping (`dpaudit.mechanisms.opacus.insertion`); a batch is joined whether or not the
    function ever looks at its loader's sampler, so a wrong sampler is not what this canary shows.

    Sees one private optimizer, or several of the same width in turn. Bit for bit, D0 trains as without it. A training
    of several processes is ``Distributed(OpacusTranscript(...))``.

    Args:
        train: called as ``train(data, seed)``; makes its model private inside.
        directions: (P,), (K, P), or (T, K, P) for others in each step: floats of any length, in the order of the
            optimizer's parameters, which is that of the model's trainable ``parameters()``; the recipes of gradient
            canaries give theirs as ``neighbors.context["directions"]``.
        divisor: the public constant that the sum is divided by; None: Opacus's ``expected_batch_size`` times
            accumulated batches, where what it hands over agrees with that, so that the noised sum itself is seen. A
            divisor that Opacus derives from a private size shows only if the constant is given.
        noise_multiplier: as claimed, for the optimal score; a public constant of the audit, never read from a run.
        sample_rate: as claimed; the rate of a gradient canary's coins as well.
        initial: as for `Function`.

    Raises:
        UsageError: directions that are none, constants out of their range, a function of another signature.
    """

    train: Callable[..., Any]
    directions: Any
    _: KW_ONLY
    divisor: float | None = None
    noise_multiplier: float | None = None
    sample_rate: float | None = None
    initial: Any = None
    engine: ClassVar[str] = "native (implementation)"
    _function: Function = field(init=False)

    def __post_init__(self) -> None:
        Directions(self.directions)
        if self.divisor is not None and not 0 < self.divisor < float("inf"):
            raise UsageError("divisor", allowed="a number above 0, or None", got=self.divisor)
        Transcript([[0.0]], [1.0], self.noise_multiplier, self.sample_rate)  # type: ignore[arg-type]  # their ranges
        object.__setattr__(self, "_function", Function(self.train, self.initial))

    @property
    def name(self) -> str:
        """For the report."""
        return f"every step of {self._function.name}"

    def run(self, data: Any, seed: int) -> Release:
        """One training, its transcript as the release.

        Args:
            data: one world's: the user's data, or `WithGradient`.
            seed: the trial's.

        Raises:
            UsageError: directions or canary do not fit the model, no step, no divisor, a model that Opacus refuses.
            Exception: whatever the function raises.
        """
        if isinstance(data, WithGradient):
            return self._watched(data.data, [data.gradient], seed)
        return self._watched(data, [], seed)

    def record(self, data: Any, seed: int) -> Recorded:
        """As `run`, with the batch size and the model's state of each step, which no attack is given.

        Args:
            data: as for `run`.
            seed: the trial's.

        Raises:
            UsageError: as `run`.
        """
        plain, gradients = (data.data, [data.gradient]) if isinstance(data, WithGradient) else (data, [])
        with recording() as recorder:
            log = StepLog(recorder)
            return log.recorded(self._watched(plain, gradients, seed, log))

    def run_canaries(self, canaries: CanarySet, mask: Any, seed: int) -> Release:
        """ONE training with some of m gradient canaries in it: the production run itself can be audited so.

        Column k of the transcript's projections belongs to direction k: give the set's gradients as `directions`, and
        ``dpa.attacks.canary_scores(release.value)`` has a score for each canary, to be judged as
        ``dpa.Scores.one_run(scores=, included_mask=mask)``.

        Args:
            canaries: with gradients.
            mask: (m,) bool, fair coins; the training learns nothing else of them.
            seed: of the training.

        Raises:
            UsageError: canaries that are records, and as for `run`.
        """
        if canaries.gradients is None:
            raise UsageError(
                "canaries that are records need no transcript",
                allowed="CanarySet(base, gradients=)",
                remedy="train(canaries.included(mask), seed), and a score for each record",
            )
        coins = canaries.coins(mask)
        return self._watched(canaries.base, list(canaries.gradients[coins]), seed)

    def _watched(self, data: Any, gradients: Sequence[Any], seed: int, log: StepLog | None = None) -> Release:
        watch = Watch(Directions(self.directions), self.divisor)
        with ExitStack() as open_taps:
            open_taps.enter_context(tapping(watch))
            if gradients:
                if self.sample_rate is None:
                    raise UsageError(
                        "a gradient canary needs the rate of its coins",
                        allowed="sample_rate= in (0, 1]",
                        got=None,
                        remedy="sample_rate=1 / len(loader), as the claim has it",
                    )
                open_taps.enter_context(tapping(Insertion(gradients, self.sample_rate, seed)))
            if log is not None:
                open_taps.enter_context(tapping(log))  # the last opened is told first: before a canary joins
            with explained():
                release = self._function.run(data, seed)
        seen, bounds = watch.transcript()
        transcript = Transcript(
            seen, bounds, self.noise_multiplier, self.sample_rate, final=release.value, initial=release.initial
        )
        if place()[1] > 1:
            return RankRelease(transcript, initial=release.initial, facts=release.facts, share=watch.share())
        return Release(transcript, initial=release.initial, facts=release.facts)

    def __repr__(self) -> str:
        constants = f"divisor={self.divisor}, noise_multiplier={self.noise_multiplier}, sample_rate={self.sample_rate}"
        seen = digest_of(Directions(self.directions).rows)[:8]
        return f"OpacusTranscript({self._function!r}, directions=#{seen}, {constants})"


@contextmanager
def explained() -> Iterator[None]:
    """Opacus's refusals of a model as errors that say what to change.

    Raises:
        UsageError: a layer that mixes records or is not supported, tied weights under ghost clipping, buffers.
    """
    try:
        yield
    except Exception as error:
        said, kind = " ".join(str(error).split())[:300], type(error)
        if kind.__module__.startswith("opacus.validators"):
            remedy = "opacus.validators.ModuleValidator.fix(model) before make_private, or another layer"
        elif kind is NotImplementedError and "tying" in said:
            remedy = 'grad_sample_mode="hooks" for shared parameters'
        elif kind is NotImplementedError and "buffer" in said:
            remedy = "a layer without buffers (GroupNorm for BatchNorm)"
        else:
            raise
        raise UsageError("Opacus refuses this model", got=f"{kind.__name__}: {said}", remedy=remedy) from error
