"""Reports as an audit makes them, by betting on scores that are drawn; the pages of the tests show them."""

import numpy as np

from dpaudit.checks.findings import Finding, Findings
from dpaudit.claim import Claim
from dpaudit.evidence import LowerBound, Verdict
from dpaudit.methods import Betting, OneRunFDP
from dpaudit.report import History, Note, Report, TrialCounts
from dpaudit.report.one_run import ONE_RUN_ASSUMES, OneRunReport
from dpaudit.scores import Scores

NAMES = ("canary_loss", "logit_margin", "projection", "weight_norm", "largest_weight", "variance", "scale")
ZEROS = ("non_finite", "failed")
FOUND = Findings.of(
    [
        Finding(
            "clipping",
            "fault",
            "one record moves the summed gradient by 1.6e+06",
            "1.0",
            None,
            "clipping",
            "clip the gradient of each record, not of the batch",
        ),
        Finding("noise", "ok", "standard deviation 1.098", "1.1", 0.4),
        Finding("sampler", "warning", "batches of a fixed size", "Poisson", 1e-9, "sampler", "use DPDataLoader"),
        Finding("bookkeeping", "skipped", "no accountant"),
    ]
)


def scores(trials, shift, seed=0):
    """Seven statistics, one of which tells the worlds apart by `shift`, and two that never say anything."""
    rng = np.random.default_rng(seed)
    mask = rng.random(trials) < 0.5
    values = rng.normal(size=(trials, len(NAMES) + len(ZEROS)))
    values[:, 0] += shift * mask
    values[:, len(NAMES) :] = 0
    return Scores.from_table(values, mask, (*NAMES, *ZEROS))


def played(shift, *, trials=300, claim=None, seed=0, **changes):
    """Betting on `scores`; INCONCLUSIVE where ten trials are all there are."""
    claim = claim or Claim(epsilon=0.53, delta=1e-5)
    drawn = scores(trials, shift, seed)
    test = Betting().test(drawn, claim, 0.95)
    path, rule = test.details.pop("path"), test.details.pop("rule")
    trial, log_wealth, bound = (np.array(column) for column in zip(*path, strict=True))
    used = drawn.rows(slice(test.trials_used))
    verdict = Verdict.REFUTED if test.refuted else Verdict.NOT_REFUTED if trials > 10 else Verdict.INCONCLUSIVE
    return made(
        verdict=verdict,
        claim=claim,
        lower_bound=LowerBound(
            epsilon=float(np.nanmax(bound)),
            delta=claim.quoted_delta,
            confidence=0.95,
            method="betting",
            ceiling=3.2109,
            n_included=None,
            n_excluded=None,
        ),
        test=test,
        trials=TrialCounts(
            requested=trials, completed=len(used), included=used.n_included, excluded=used.n_excluded, after_stop=2
        ),
        statistic=test.statistic,
        battery=drawn.names,
        power={"perfect_trials": 13} if trials > 10 else {"perfect_trials": 44},
        method=test.method,
        rule=rule,
        history=History(trial.astype(np.int64), log_wealth, bound),
        scores=used,
        **changes,
    )


def one_run(shift=1.2, m=400, **changes):
    """A one-run audit of m canaries, by the method itself."""
    drawn = scores(m, shift, 3).select(["canary_loss"]).as_one_run()
    claim, method = Claim.gaussian(mu=0.5), OneRunFDP()
    test = method.test(drawn, claim, 0.95)
    bound = method.lower_bound(drawn, delta=1e-5, confidence=0.95)
    return made(
        OneRunReport,
        verdict=Verdict.REFUTED if test.refuted else Verdict.NOT_REFUTED,
        claim=claim,
        lower_bound=bound,
        test=test,
        trials=TrialCounts(requested=m, completed=m, included=drawn.n_included, excluded=drawn.n_excluded),
        statistic=test.statistic,
        battery=drawn.names,
        power={"perfect_trials": 1},
        method=test.method,
        assumes=ONE_RUN_ASSUMES,
        scores=drawn,
        m=m,
        runs=1,
        guesses=test.details.get("guesses", 0),
        correct=test.details.get("correct", 0),
        **{"preflight": None, **changes},
    )


def made(kind=Report, **facts):
    """A report with everything a page has a place for."""
    return kind(
        **{
            "confidence": 0.95,
            "seed": 7,
            "engine": "opacus (implementation)",
            "versions": {"python": "3.12.3", "dpaudit": "0.1.0", "torch": "2.13.0", "opacus": "1.6.0"},
            "threat_model": "black box, final weights, start known",
            "canary": "extreme(scale=100)",
            "reproduce": "dpaudit run examples/opacus_ghost_regression.py --seed 7",
            "fingerprint": "0123456789abcdef0123456789abcdef",
            "preflight": FOUND,
            "notes": (
                Note("said-by-trials", "UserWarning: Secure RNG turned off (300 times)"),
                Note("failed-trials", "1 with and 0 without the canary: the training function raised; first: boom 17"),
            ),
            **facts,
        }
    )
