"""The likelihood ratio attack: Gaussian fits of a record's margins with and without it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError
from dpaudit.membership.moments import Moments, blocks
from dpaudit.membership.signals import Signals

__all__ = ["FittedLira", "Lira"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Index = NDArray[np.intp]

_FEW = 64  # models below which Carlini et al. (2022, section VI) pool the variance
_LEAST_SHARE = 1e-6  # of the pooled variance: shadows that happen to agree must not decide alone
_LEAST_VARIANCE = 1e-12


@dataclass(frozen=True)
class Lira:
    """LiRA: Gaussians are fitted to the margins of each record under shadow models with (IN) and without it (OUT).

    A margin is the scaled logit phi = ln p_y - ln sum_{c != y} p_c. Online, the score is the log-likelihood ratio
    ln N(phi; mu_in, s_in) - ln N(phi; mu_out, s_out). Offline, it is z = (phi - mu_out) / s_out, of the same order as
    the one-sided P[Z <= phi] under OUT but never saturated. Several augmentations count as independent: their scores
    are averaged, as in the authors' public code (a mean orders as the sum does); they cannot be, so the score is not a
    calibrated likelihood ratio, but a better attack than one query.

    Args:
        mode: ``online`` or ``offline``, which never looks at shadow models trained on the record.
        variance: ``record``, one for each record; ``pooled`` (the paper's fixed variance), one for all attacked
            records, for each of IN, OUT and augmentation: mean squared deviation from the record's own mean (the
            authors' public code takes the spread of all margins of all records, differences between records
            included); ``auto``: pooled where there are fewer than 64 shadow models, as in the paper.
        missing: a record with too few shadow models inside or outside is refused; or ("pool") has the mean of the
            other side shifted by the attacked records' average gap, and the pooled variance.

    A variance is at least a millionth of the pooled one. Centres are means, as in the paper's algorithm 1 (the public
    code takes medians).

    Reference: Carlini, Chien, Nasr, Song, Terzis, Tramer 2022 ("Membership inference attacks from first principles"),
    algorithm 1 and equation 4; public code: tensorflow/privacy, research/mi_lira_2021.
    """

    mode: Literal["online", "offline"] = "online"
    variance: Literal["auto", "record", "pooled"] = "auto"
    missing: Literal["refuse", "pool"] = "refuse"

    def __post_init__(self) -> None:
        for field, allowed in (
            ("mode", ("online", "offline")),
            ("variance", ("auto", "record", "pooled")),
            ("missing", ("refuse", "pool")),
        ):
            if getattr(self, field) not in allowed:
                raise UsageError(f"Lira({field}=)", allowed=", ".join(map(repr, allowed)), got=getattr(self, field))

    @property
    def name(self) -> str:
        """``LiRA online``, with its variance where that was chosen."""
        return f"LiRA {self.mode}" + ("" if self.variance == "auto" else f", {self.variance} variance")

    def fit(self, shadows: Signals) -> "FittedLira":
        """Fits two Gaussians for each record and augmentation.

        Raises:
            UsageError: too few shadow models, for some attacked record, to fit what was asked for.
        """
        resolved, attacked = self._resolved(shadows.models), shadows.attacked
        fits = []
        for margins in _augmentations(shadows):
            inside, outside = Moments.of(margins, shadows.members), Moments.of(margins, ~shadows.members)
            fits.append(_Fits.of(resolved, inside, outside, attacked))
        return FittedLira(resolved.mode == "online", tuple(fits))

    def score_each(self, signals: Signals, targets: Index, records: Index | None = None) -> FloatArray:
        """Of each target, all other models being its shadows; the moments are downdated, which is exact."""
        resolved, attacked = self._resolved(signals.models - 1), signals.attacked
        asked = slice(None) if records is None else records
        scores = np.zeros((len(targets), signals.records if records is None else len(records)))
        for margins in _augmentations(signals):
            inside, outside = Moments.of(margins, signals.members), Moments.of(margins, ~signals.members)
            for place, some in blocks(targets, signals.records):
                own, members = margins[some], signals.members[some]
                fits = _Fits.of(resolved, inside.without(own, members), outside.without(own, ~members), attacked)
                scores[place] += fits.score(own, self.mode == "online")[:, asked]
        return scores / signals.augmentations

    def _resolved(self, shadows: int) -> "Lira":
        if self.variance != "auto":
            return self
        return replace(self, variance="pooled" if shadows < _FEW else "record")


@dataclass(frozen=True, eq=False)
class FittedLira:
    """Gaussians of each record and augmentation.

    Attributes:
        online: whether IN takes part.
        fits: one for each augmentation.
    """

    online: bool
    fits: tuple["_Fits", ...]

    def score(self, target: Signals, records: Index | None = None) -> FloatArray:
        """(T, R), averaged over augmentations.

        Raises:
            UsageError: other augmentations than those of the shadow models.
        """
        if target.augmentations != len(self.fits):
            raise UsageError("augmentations of the target", allowed=f"{len(self.fits)}", got=target.augmentations)
        asked = slice(None) if records is None else records
        each = zip(self.fits, _augmentations(target), strict=True)
        parts = [fits.score(margins, self.online)[:, asked] for fits, margins in each]
        return np.asarray(sum(parts[1:], start=parts[0]) / len(parts))


@dataclass(frozen=True, eq=False)
class _Fits:
    """Means and variances, each (R,), or (T, R) where every target has its own shadows; a pooled one (1,) or (T, 1)."""

    mean_in: FloatArray
    variance_in: FloatArray
    mean_out: FloatArray
    variance_out: FloatArray

    @classmethod
    def of(cls, attack: Lira, inside: Moments, outside: Moments, attacked: BoolArray) -> "_Fits":
        online = attack.mode == "online"
        least = 2 if attack.variance == "record" else 1
        if attack.missing == "refuse":
            for what, side in (("", inside), (" not", outside)):
                if online or side is outside:
                    _require(what, side.count, least, attack, attacked)
        gap_known = (inside.count > 0) & (outside.count > 0) & attacked
        gap = _mean(inside.mean - outside.mean, gap_known)
        level = _mean(outside.mean, (outside.count > 0) & attacked)  # for a record nothing is known of
        mean_out = np.where(outside.count > 0, outside.mean, np.where(inside.count > 0, inside.mean - gap, level))
        mean_in = np.where(inside.count > 0, inside.mean, mean_out + gap)
        if not online:
            mean_out = np.where(outside.count > 0, outside.mean, level)
        pooled_out = _pooled(outside, attacked)
        # where no record has two models of a kind, the other kind's spread is the best guess there is
        pooled_in = _pooled(inside, attacked)
        pooled_in, pooled_out = (
            np.where(np.isnan(pooled_in), pooled_out, pooled_in),
            np.where(np.isnan(pooled_out) & online, pooled_in, pooled_out),
        )
        if np.isnan(pooled_out).any():
            raise UsageError(
                "shadow models for a variance",
                allowed="at least 2 that were not trained on some attacked record",
                got="fewer",
                remedy="more shadow models, each record in half of them",
            )
        return cls(
            mean_in,
            _variance(inside, pooled_in, attack.variance),
            mean_out,
            _variance(outside, pooled_out, attack.variance),
        )

    def score(self, margins: FloatArray, online: bool) -> FloatArray:
        """Of margins (T, R)."""
        out = np.square(margins - self.mean_out) / self.variance_out
        if not online:
            return np.asarray(np.sign(margins - self.mean_out) * np.sqrt(out))
        inside = np.square(margins - self.mean_in) / self.variance_in
        return np.asarray(0.5 * (out - inside + np.log(self.variance_out / self.variance_in)))


def _augmentations(signals: Signals) -> Iterator[FloatArray]:
    """Margins (M, R), augmentation by augmentation."""
    if signals.margins.ndim == 2:
        yield signals.margins
    else:
        for each in range(signals.augmentations):
            yield signals.margins[:, :, each]


def _require(what: str, count: NDArray[np.intp], least: int, attack: Lira, attacked: BoolArray) -> None:
    """Refuse attacked records with too few models; `count` (..., R)."""
    short = (count < least) & attacked
    if not short.any():
        return
    wrong = int(short.reshape(-1, len(attacked)).any(axis=0).sum())
    raise UsageError(
        f"shadow models{what} trained on a record, for {attack.name}",
        allowed=f"at least {least} for each attacked record",
        got=f"as few as {int(np.where(attacked, count, least).min())}, too few for {wrong} of {int(attacked.sum())}",
        remedy="more shadow models, each record in half of them; or Lira(missing='pool')"
        + (", or variance='pooled'" if least > 1 else ""),
    )


def _mean(values: FloatArray, counted: BoolArray) -> FloatArray:
    """(..., 1) mean over the records that count; 0 where none does."""
    total = np.where(counted, values, 0.0).sum(axis=-1, keepdims=True)
    return np.asarray(total / np.maximum(counted.sum(axis=-1, keepdims=True), 1))


def _pooled(side: Moments, attacked: BoolArray) -> FloatArray:
    """(..., 1) unbiased where all records have the same variance; NaN where no record has two models."""
    freedom = np.where(attacked, np.maximum(side.count - 1, 0), 0).sum(axis=-1, keepdims=True)
    squares = np.where(attacked, side.squares, 0.0).sum(axis=-1, keepdims=True)
    return np.where(freedom > 0, np.maximum(squares / np.maximum(freedom, 1), _LEAST_VARIANCE), np.nan)


def _variance(side: Moments, pooled: FloatArray, kind: str) -> FloatArray:
    if kind == "pooled":
        return pooled
    own = np.maximum(side.squares / np.maximum(side.count, 1), _LEAST_SHARE * pooled)
    return np.asarray(np.where(side.count > 1, own, pooled))
