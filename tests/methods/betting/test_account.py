"""The account: an oracle in plain loops, bets that use the past only, a lesson schedule that changes nothing."""

import numpy as np
import pytest

from dpaudit.claim import Claim
from dpaudit.methods.betting import Stakes
from dpaudit.methods.betting.account import Account
from dpaudit.methods.betting.experts import ABSTAINED, LOST, SIDE, STAKE
from dpaudit.methods.betting.ladder import Wealth, mean_log
from dpaudit.profiles import ApproximateDP, Gaussian, Profile


def trials(n: int, statistics: int, seed: int, mu: float = 1.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    coins = rng.random((1, n)) < 0.5
    values = rng.normal(size=(1, n, statistics))
    values[..., 0] += mu * coins
    return values, coins, rng.random((1, n)) < 0.02


def guess_of(kind: int, t: int, place: int) -> str | None:
    if place >= SIDE + t and kind != 2:
        return "in"
    return "out" if place < SIDE - t and kind != 1 else None


def factor(guess: str | None, coin: bool, lost: bool, eps: float, d: float, fraction: float) -> float:
    right = guess is not None and (guess == "in") == coin and not lost
    wrong = lost or (guess is not None and not right)
    return 1 + fraction * STAKE / (np.exp(eps) + d) * (right - np.exp(eps) * wrong - d)


def delta_of(profile: Profile, kind: int, eps: float) -> float:
    d_in, d_out = float(profile.in_over_out(eps)), float(profile.out_over_in(eps))
    return [(d_in + d_out) / 2, d_in / 2, d_out / 2][kind]


@pytest.mark.parametrize("profile", [Gaussian(1.0), ApproximateDP(1.0, 1e-3)])
def test_wealth_is_its_definition(profile: Profile) -> None:
    values, coins, lost = trials(60, 2, 3)
    stakes = Stakes(epsilons=(0.0, 0.8), fractions=(0.3, 1.0))
    account = Account(1, 2, profile, stakes)
    portfolio, rungs = 1.0, np.ones(account.ladder.rungs)
    for block in account.play(values, coins, lost):
        weights = account.player.weights[0]
        epsilons = account.player.look.epsilons
        bets = account.player.stance.bets[0]
        for i in range(block.trials.stop - block.trials.start):
            at = block.trials.start + i
            outcome, coin, gone = int(block.outcomes[0, i]), bool(coins[0, at]), bool(lost[0, at])
            assert (outcome == LOST) == gone
            place = outcome // 2 if outcome < ABSTAINED else SIDE - 1  # of an abstention no guess is asked
            paid = weights[0]
            for j, weight in enumerate(weights[1:]):
                pattern, e = divmod(j, len(epsilons))
                kind, t = divmod(pattern, SIDE)
                guess = guess_of(kind, t, place) if outcome < ABSTAINED else None
                paid += weight * factor(guess, coin, gone, epsilons[e], delta_of(profile, kind, epsilons[e]), 1.0)
            portfolio *= paid if bets else 1.0
            for r in range(account.ladder.rungs):
                cell, said = divmod(int(block.results[0][0, i, r]), 3)
                kind, rest = divmod(cell, 2 * 3)
                e, f = divmod(rest, 3)
                d, eps, fraction = delta_of(profile, kind, stakes.epsilons[e]), stakes.epsilons[e], (0.0, 0.3, 1.0)[f]
                net = [1 - d, -np.exp(eps) - d, -d][said]
                rungs[r] *= 1 + fraction * STAKE / (np.exp(eps) + d) * net
                assert not gone or said == 1
            mixed = (1 - account.share) * portfolio + account.share * rungs.mean()
            assert block.log_wealth[0, i] == pytest.approx(np.log(mixed), abs=1e-9)
    assert portfolio != 1.0
    assert rungs.std() > 0


def test_bets_use_the_past_only() -> None:
    """Changing trial j and all later ones changes no wealth before j."""
    values, coins, _ = trials(160, 3, 4)
    nothing = np.zeros_like(coins)

    def wealth(values: np.ndarray, coins: np.ndarray) -> np.ndarray:
        account = Account(1, 3, Gaussian(1.0), Stakes())
        return np.concatenate([block.log_wealth[0] for block in account.play(values, coins, nothing)])

    first = wealth(values, coins)
    for j in (3, 60, 125):
        changed, turned = values.copy(), coins.copy()
        changed[:, j:] += 100
        turned[:, j:] ^= True
        assert (wealth(changed, turned)[:j] == first[:j]).all()


@pytest.mark.parametrize("statistics", [1, 4])
def test_one_trial_at_a_time_makes_the_same_bets_to_the_last_bit(statistics: int) -> None:
    """Else a run could stop at a refutation that its own report does not find again."""
    values, coins, lost = trials(700, statistics, 8, mu=0.8)
    if statistics > 1:
        values[..., 1] = values[..., 0] * (1 + 1e-13)  # nearly tied
    account = Account(1, statistics, Gaussian(0.7), Stakes())
    at_once = np.concatenate([block.log_wealth[0] for block in account.play(values, coins, lost)])
    account, one_by_one = Account(1, statistics, Gaussian(0.7), Stakes()), []
    for i in range(700):
        part = slice(i, i + 1)
        one_by_one += [b.log_wealth[0, 0] for b in account.play(values[:, part], coins[:, part], lost[:, part])]
    assert at_once.tolist() == one_by_one


def test_audits_side_by_side_do_not_disturb_each_other() -> None:
    values, coins, _ = trials(300, 2, 5)
    others, other_coins, _ = trials(300, 2, 6, mu=6.0)
    nothing = np.zeros_like(coins)
    both = Account(2, 2, Gaussian(1.0), Stakes())
    pair = both.play(np.concatenate([values, others]), np.concatenate([coins, other_coins]), np.zeros((2, 300), bool))
    together = np.concatenate([block.log_wealth[0] for block in pair])
    alone = np.concatenate(
        [block.log_wealth[0] for block in Account(1, 2, Gaussian(1.0), Stakes()).play(values, coins, nothing)]
    )
    assert together == pytest.approx(alone, abs=1e-9)


def test_a_ladder_counts_what_it_won() -> None:
    values, coins, lost = trials(250, 1, 7)
    account, stakes = Account(1, 1, Gaussian(1.0), Stakes()), Stakes()
    wealth, table = Wealth(account.ladder), stakes.log_factors(Gaussian(0.4))
    running = np.zeros(account.ladder.rungs)
    for block in account.play(values, coins, lost):
        wealth.count(block.results[0][0])
        running += table.ravel()[block.results[0][0]].sum(axis=0)
    assert wealth.of_rungs(table) == pytest.approx(running)
    assert wealth.against(table) == pytest.approx(np.log(np.exp(running).mean()))
    assert mean_log(np.array([[1000.0, 1000.0], [0.0, -2000.0]])) == pytest.approx([1000.0, -np.log(2)])


def test_a_claim_that_is_refuted_by_far_more_than_it_takes() -> None:
    """Wealth beyond the range of floats stays finite in logs."""
    rng = np.random.default_rng(0)
    coins = rng.random((1, 5000)) < 0.5
    account = Account(1, 1, Claim(epsilon=0.0).profile, Stakes())
    last = [block.log_wealth[0, -1] for block in account.play(coins[..., None] * 1.0, coins, np.zeros_like(coins))][-1]
    assert 3000 < last < np.inf


def test_a_ladder_is_not_drawn_to_statistics_that_never_change() -> None:
    """Of a constant nothing is ever learned, and nothing learned must not look better than a little."""
    values, coins, nothing = *trials(400, 4, 9, mu=1.0)[:2], np.zeros((1, 400), bool)
    values[..., 1:] = [0.0, np.nan, 7.0]
    account = Account(1, 4, Gaussian(3.0), Stakes())
    for _ in account.play(values, coins, nothing):
        pass
    assert account.player.survey.statistic[0] == 0
    assert not account.player.survey.reversed[0]
