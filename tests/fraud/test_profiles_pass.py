"""The compiled pass over transactions, against its plain twin and against dictionaries.

Shapes: N transactions.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_passes import excess_on_amounts, passed_over, some_priors, some_rows

from recsys.fraud.profiles import kernel, learn, measure, velocities
from recsys.fraud.profiles.arrays import NUM_HOURS, Excess, Priors, Rows

SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every function of the pass in plain Python, those that it calls included."""
    rng = np.random.default_rng(0)  # what is compiled has to be so before its parts are replaced
    passed_over(some_rows(rng, 2), some_priors(rng), excess_on_amounts(limit=1.0))
    for module in (kernel, learn, measure, velocities):
        for name, function in list(vars(module).items()):
            if name != "advance" and hasattr(function, "py_func"):
                monkeypatch.setattr(module, name, function.py_func)


@dataclass
class History:
    """Everything that an account did, kept whole."""

    learnt: list[int] = field(default_factory=list)
    velocities: dict[int, list[float]] = field(default_factory=dict)
    all_rows: list[int] = field(default_factory=list)
    met: set[int] = field(default_factory=set)
    excluded: list[int] = field(default_factory=list)


class Event(NamedTuple):
    """What a counterparty counts."""

    day: float
    account: int
    merchant: int
    excess: float


class Oracle:
    """The measures from their definitions: no running sum, everything anew from whole histories."""

    def __init__(self, rows: Rows, priors: Priors, excess: Excess) -> None:
        self.rows, self.priors, self.excess = rows, priors, excess
        self.histories: dict[int, History] = defaultdict(History)
        self.paid: dict[int, list[float]] = defaultdict(list)
        self.busy: list[list[tuple[float, float, float]]] = []
        self.events: list[Event] = []

    def run(self) -> dict[str, np.ndarray]:
        """Measures of all transactions."""
        measured = [self.step(row) for row in range(len(self.rows.account))]
        return {name: np.array([each[name] for each in measured]) for name in measured[0]}

    def step(self, row: int) -> dict[str, float]:
        """Measures of one transaction, which then is history."""
        rows, history = self.rows, self.histories[int(self.rows.account[row])]
        self.settle(history, row)
        peer = self.peer(history)
        mean, var = self.expected(history, peer, int(rows.context[row]))
        history.all_rows.append(row)
        before = self.counts_before(history, row)
        velocities = [
            math.log1p(count / factor + 1)
            for count, factor in zip(before, self.factors(row), strict=True)
        ]
        self.count_busy(history, before)
        amount_high = (rows.amount[row] - mean) / math.sqrt(var)
        merchant = int(rows.counterparty[row])
        measured = {
            "peer": peer,
            "amount_high": amount_high,
            "hour": self.hour(history, peer, row),
            "category": self.context(history, peer, row),
            "count_1h": self.velocity(history, velocities, 0),
            "count_1d": self.velocity(history, velocities, 1),
            "new_counterparty": self.new_counterparty(history, merchant),
            "counterparty_amount": self.counterparty_amount(peer, row),
            "counterparty_excess": self.counterparty_excess(row),
            "account_distance": self.distance(history, peer, row),
        }
        total = max(amount_high - 1.0, 0.0)
        if merchant >= 0:
            history.met.add(merchant)
            self.count_event(row, min(total, 5.0))
        if total <= self.excess.limit:
            history.learnt.append(row)
            history.velocities[row] = velocities
            self.paid[merchant].append(float(rows.amount[row]))
        else:
            history.excluded.append(row)
            history.velocities[row] = velocities
        return measured

    def settle(self, history: History, row: int) -> None:
        """What was refused alone, with no other within three days before or after, is learnt.

        It comes after what was learnt in the meantime, as means and variances do not mind.
        """
        excluded, day = history.excluded, self.rows.day
        if excluded and day[row] - day[excluded[-1]] > 3:
            if len(excluded) == 1:
                history.learnt.append(excluded[0])
            excluded.clear()

    def peer(self, history: History) -> int:
        """The group under which all transactions are most likely, older ones counting less."""
        rows, priors = self.rows, self.priors
        totals = np.zeros(len(priors.context))
        for age, row in enumerate(reversed(history.all_rows)):
            context, hour = rows.context[row], rows.hour[row]
            var = priors.amount_var[:, context].astype(float)
            square = (rows.amount[row] - priors.amount_mean[:, context].astype(float)) ** 2 / var
            share = priors.context[:, context].astype(float) * priors.hour[:, context, hour]
            totals += 0.998**age * (np.log(share) - 0.5 * (np.minimum(square, 25.0) + np.log(var)))
        return int(totals.argmax())

    def expected(self, history: History, peer: int, context: int) -> tuple[float, float]:
        """Mean and variance of amounts among those learnt and `strength` ones of the peers."""
        own = [self.rows.amount[row] for row in history.learnt if self.rows.context[row] == context]
        return self.pooled(own, self.priors.amount_mean[peer, context],
                           self.priors.amount_var[peer, context])  # fmt: skip

    def pooled(
        self, values: list[float], prior_mean: float, prior_var: float
    ) -> tuple[float, float]:
        """Mean and variance of values and of `strength` imagined ones."""
        values, strength = np.array(values, dtype=float), self.priors.strength
        total = len(values) + strength
        mean = (values.sum() + strength * float(prior_mean)) / total
        squares = ((values - mean) ** 2).sum() + strength * (
            float(prior_var) + (float(prior_mean) - mean) ** 2
        )
        return mean, squares / total

    def counts_before(self, history: History, row: int) -> list[float]:
        """Decayed counts of an hour and of a day, the present transaction left out."""
        ages = self.rows.day[row] - self.rows.day[history.all_rows[:-1]]
        return [float((0.5 ** (ages / half_life)).sum()) for half_life in (1 / 24, 1.0)]

    def count_busy(self, history: History, before: list[float]) -> None:
        """Keep each count, at most three times the expected one and one, that one, and a weight."""
        means = [self.expected_velocity(history, which)[0] for which in range(2)]
        expected = [max(math.expm1(mean) - 1, 0.0) for mean in means]
        self.busy.append(
            [(min(n, 3 * m + 1), m, 1 / (1 + n)) for n, m in zip(before, expected, strict=True)]
        )

    def factors(self, row: int) -> list[float]:
        """How many times as busy as in the long run all accounts were before a transaction."""
        return [self.factor(row, which) for which in range(2)]

    def factor(self, row: int, which: int) -> float:
        """The ratio of what happened and what was expected, of late over that in the long run."""
        if row == 0:
            return 1.0
        ages = self.rows.day[row] - self.rows.day[:row]
        found, expected, weight = np.array([each[which] for each in self.busy]).T
        usual = weight * 0.5 ** (ages / 90)
        mean_found, mean_expected = usual @ found / usual.sum(), usual @ expected / usual.sum()
        if mean_found <= 0 or mean_expected <= 0:
            return 1.0
        late = weight * 0.5 ** (ages * (24 if which == 0 else 1))
        ratio = (late @ found + 200 * mean_found) / (late @ expected + 200 * mean_expected)
        return float(ratio * mean_expected / mean_found)

    def expected_velocity(self, history: History, which: int) -> tuple[float, float]:
        """Mean and variance of a log count, of what was learnt."""
        learnt = [history.velocities[row][which] for row in history.learnt]
        return self.pooled(
            learnt, self.priors.velocity_mean[which], self.priors.velocity_var[which]
        )

    def velocity(self, history: History, velocities: list[float], which: int) -> float:
        """Deviation of a count from what was learnt."""
        mean, var = self.expected_velocity(history, which)
        return (velocities[which] - mean) / math.sqrt(var)

    def hour(self, history: History, peer: int, row: int) -> float:
        """Surprise at the hour; each hour that was learnt also counts for its neighbours."""
        own = np.zeros(NUM_HOURS)
        for learnt in history.learnt:
            for shift, share in ((-1, 0.25), (0, 0.5), (1, 0.25)):
                own[(self.rows.hour[learnt] + shift) % NUM_HOURS] += share
        usual = self.priors.hour_of_peer[peer].astype(float)
        tilt = (own + self.priors.strength * usual) / usual
        shares = self.priors.hour[peer, self.rows.context[row]] * tilt
        return -math.log(shares[self.rows.hour[row]] / shares.sum())

    def share(self, history: History, count: int, usual: float) -> float:
        """A share of what was learnt, shrunk."""
        strength = self.priors.strength
        return (count + strength * usual) / (len(history.learnt) + strength)

    def context(self, history: History, peer: int, row: int) -> float:
        """Surprise at the context."""
        context = self.rows.context[row]
        count = sum(self.rows.context[learnt] == context for learnt in history.learnt)
        return -math.log(self.share(history, count, self.priors.context[peer, context]))

    def new_counterparty(self, history: History, merchant: int) -> float:
        """Surprise at a counterparty that the account never met."""
        if merchant < 0 or merchant in history.met:
            return 0.0
        first, before = set(), set()
        for row in history.all_rows[:-1]:
            other = int(self.rows.counterparty[row])
            if other >= 0 and other not in before:
                first.add(row)
            before.add(other)
        count = len(first & set(history.learnt))
        return -math.log(self.share(history, count, self.priors.new_share))

    def counterparty_amount(self, peer: int, row: int) -> float:
        """Deviation of the amount from those that the counterparty was paid."""
        merchant, context = int(self.rows.counterparty[row]), self.rows.context[row]
        if merchant < 0:
            return 0.0
        prior = self.priors.amount_mean[peer, context], self.priors.amount_var[peer, context]
        mean, var = self.pooled(self.paid[merchant], *prior)
        return (self.rows.amount[row] - mean) / math.sqrt(var)

    def count_event(self, row: int, excess: float) -> None:
        """Keep what an account did at a counterparty, until another one comes once."""
        account, merchant = int(self.rows.account[row]), int(self.rows.counterparty[row])
        last = [event for event in self.events if event.merchant == merchant][-1:]
        if not last or last[0].account != account:
            self.events.append(Event(float(self.rows.day[row]), account, merchant, excess))

    def counterparty_excess(self, row: int) -> float:
        """Errors by which the excess of others at the counterparty is above that at all of them."""
        merchant, account = int(self.rows.counterparty[row]), int(self.rows.account[row])
        here = [event for event in self.events if event.merchant == merchant]
        if here and here[-1].account == account:
            here = here[:-1]
        if merchant < 0 or not here:
            return 0.0
        day, excess = float(self.rows.day[row]), self.excess
        weights = [0.5 ** ((day - event.day) / 10) for event in self.events]
        values = [event.excess for event in self.events]
        mean, second = (
            (np.dot(weights, np.power(values, power)) + 200 * usual) / (sum(weights) + 200)
            for power, usual in ((1, excess.mean), (2, excess.variance + excess.mean**2))
        )
        ages = [0.5 ** ((day - event.day) / 3) for event in here]
        beyond = np.dot(ages, [event.excess for event in here]) - sum(ages) * mean
        return max(beyond, 0.0) / math.sqrt((sum(ages) + 1) * (second - mean**2))

    def distance(self, history: History, peer: int, row: int) -> float:
        """-log density under the account's mixture of clusters."""
        nearest = [int(self.rows.log_density[learnt].argmax()) for learnt in history.learnt]
        density = sum(
            math.exp(log_density) * self.share(history, nearest.count(cluster), usual)
            for cluster, (log_density, usual) in enumerate(
                zip(self.rows.log_density[row], self.priors.cluster[peer], strict=True)
            )
        )
        return -math.log(density)


@pytest.mark.parametrize("limit", [math.inf, 0.5])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.usefixtures("plain")
def test_the_compiled_pass_equals_plain_python(seed: int, limit: float) -> None:
    """What is written and what is left of the state is that of the same code in plain Python."""
    rng = np.random.default_rng(seed)
    rows, priors = some_rows(rng, 300), some_priors(rng)
    excess = excess_on_amounts(limit=limit)
    narrow = passed_over(rows, priors, excess)
    wide = passed_over(rows, priors, excess, wide=True)
    for name, array in narrow.passed._asdict().items():
        np.testing.assert_allclose(array, getattr(wide.passed, name), rtol=1e-4, atol=1e-4)
    # A day since 1970 is good to a minute and a half in float32.
    np.testing.assert_allclose(narrow.accounts.values, wide.accounts.values, rtol=1e-4, atol=2e-3)
    np.testing.assert_array_equal(narrow.accounts.sketch, wide.accounts.sketch)
    np.testing.assert_allclose(
        narrow.counterparties.values, wide.counterparties.values, rtol=1e-4, atol=1e-4
    )
    for name, array in narrow.population._asdict().items():
        np.testing.assert_allclose(array, getattr(wide.population, name), rtol=1e-4, err_msg=name)


@pytest.mark.usefixtures("plain")
def test_counts_that_fade_are_those_of_plain_python() -> None:
    """An account of more than a thousand transactions fades alike compiled and in plain Python."""
    rng = np.random.default_rng(0)
    rows, priors = some_rows(rng, 1300, num_accounts=1), some_priors(rng)
    excess = excess_on_amounts(limit=math.inf)
    narrow, wide = (passed_over(rows, priors, excess, wide=wide) for wide in (False, True))
    assert narrow.passed.num_known.max() == 1000
    np.testing.assert_allclose(narrow.accounts.values, wide.accounts.values, rtol=1e-3, atol=1e-3)


@settings(max_examples=30)
@given(seed=SEEDS, num_rows=st.integers(1, 120), limit=st.sampled_from([math.inf, 0.5, 0.0]))
def test_the_pass_equals_whole_histories(seed: int, num_rows: int, limit: float) -> None:
    """Every measure is what its definition gives on all that the account did before."""
    rng = np.random.default_rng(seed)
    rows, priors = some_rows(rng, num_rows), some_priors(rng)
    excess = excess_on_amounts(limit=limit)
    run = passed_over(rows, priors, excess)
    expected = Oracle(rows, priors, excess).run()
    np.testing.assert_array_equal(run.passed.peer, expected.pop("peer"))
    for kind, values_N in expected.items():
        np.testing.assert_allclose(run.evidence(kind), values_N, rtol=2e-4, atol=2e-4, err_msg=kind)


@settings(max_examples=20)
@given(seed=SEEDS, share=st.floats(0, 1))
def test_a_pass_can_stop_anywhere(seed: int, share: float) -> None:
    """The first rows of a log are measured as they are when the log ends with them."""
    rng = np.random.default_rng(seed)
    rows, priors = some_rows(rng, 60), some_priors(rng)
    excess = excess_on_amounts(limit=0.5)
    num_rows = 1 + int(share * 59)
    whole = passed_over(rows, priors, excess)
    part = passed_over(Rows._make(array[:num_rows] for array in rows), priors, excess)
    for name, array in part.passed._asdict().items():
        np.testing.assert_array_equal(array, getattr(whole.passed, name)[:num_rows])
    assert np.isfinite(whole.passed.evidence).all()


def test_a_season_makes_nobody_busy_and_one_account_makes_no_season() -> None:
    """Counts are usual where all accounts do twice as much; those of a single account are not."""
    rng, start = np.random.default_rng(0), 19_000.0
    usual_N = np.sort(rng.uniform(start, start + 40, 40_000))
    busy_N = np.sort(rng.uniform(start + 40, start + 60, 40_000))
    rows = some_rows(rng, 80_000, num_accounts=400)._replace(day=np.concatenate([usual_N, busy_N]))

    def counts(of: Rows) -> np.ndarray:
        run = passed_over(of, some_priors(np.random.default_rng(0)), excess_on_amounts(limit=9.0))
        return run.evidence("count_1d")

    def between(of: Rows, first: float, last: float) -> np.ndarray:
        return (of.day > start + first) & (of.day < start + last)

    limit = np.quantile(counts(rows)[between(rows, 20, 40)], 0.95)
    assert (counts(rows)[between(rows, 42, 50)] > limit).mean() < 0.1

    again = np.flatnonzero((rows.account == 7) & between(rows, 30, 33))
    burst = Rows._make(np.insert(array, np.repeat(again, 4), array[np.repeat(again, 4)], axis=0)
                       for array in rows)  # fmt: skip
    late = (burst.account == 7) & between(burst, 32, 33)
    assert np.median(counts(burst)[late]) > limit
    others = (burst.account != 7) & between(burst, 30, 33)
    assert (counts(burst)[others] > limit).mean() < 0.07


def test_where_everybody_becomes_unusual_no_counterparty_does() -> None:
    """Excess that rises everywhere says nothing of a counterparty; at one alone it does."""
    rng, start, num_rows, shop = np.random.default_rng(0), 19_000.0, 35_000, 3
    rows = some_rows(rng, num_rows, num_accounts=400)
    counterparty = rng.integers(0, 40, num_rows)
    rows = rows._replace(
        day=start + np.linspace(0, 70, num_rows), counterparty=counterparty, bit=counterparty
    )
    priors, is_late = some_priors(rng), rows.day > start + 20

    def excess_with(raised: np.ndarray) -> np.ndarray:
        higher = rows._replace(amount=(rows.amount + raised).astype(np.float32))
        run = passed_over(higher, priors, excess_on_amounts(limit=0.0))  # accounts stay as they are
        return run.evidence("counterparty_excess")

    is_measured, is_shop = rows.day > start + 60, rows.counterparty == shop
    everybody, alone = excess_with(1.0 * is_late), excess_with(1.0 * (is_late & is_shop))
    limit = np.quantile(everybody[~is_late & (rows.day > start + 10)], 0.95)
    assert (everybody[is_measured] > limit).mean() < 0.1
    assert (alone[is_measured & is_shop] > limit).mean() > 0.9
    assert (alone[is_measured & ~is_shop] > limit).mean() < 0.1
