"""Generated card logs that differ in what a fraud scorer may have taken for granted.

Every world has honest accounts with habits of their own, and one kind of fraud. They are small, so
that all of them are scored in minutes.

Shapes: N transactions, A accounts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa

from recsys.arrays import Float64Array, Int64Array
from recsys.datasets.dataset import FeatureConfig
from recsys.schema import ACCOUNT_ID, AMOUNT, COUNTERPARTY_ID, EVENT_TIME, IS_FRAUD, TRANSACTION_ID

NUM_DAYS = 150
"""Days of every world."""
TRAIN_DAYS = 105
"""Days of it that are learnt from."""
CATEGORIES = ("grocery", "fuel", "travel", "online", "home", "leisure")
CHANNELS = ("chip", "web", "contactless")
_LEVELS = np.array([3.3, 3.6, 5.0, 3.9, 4.4, 3.0])  # mean log amount of each category
_FIRST_SECOND = np.datetime64("2025-01-01T00:00:00", "s")


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """A generated log."""

    table: pa.Table
    """Transactions in the order of time, with their labels."""
    features: Mapping[str, FeatureConfig]
    """Kind of each feature."""


@dataclass
class Draft:
    """A log while it is made: rows in no order, and what every account does."""

    rng: np.random.Generator
    rows: pd.DataFrame
    num_accounts: int
    shops: Int64Array
    wake: Float64Array
    level: Float64Array
    categorical: tuple[str, ...] = ("category", "channel")
    extra: list[pd.DataFrame] = field(default_factory=list)

    def places(self, share: float, *, from_day: float = TRAIN_DAYS) -> Int64Array:
        """Some rows from a day on: a share of all of them."""
        late = np.flatnonzero(self.rows["day"].to_numpy() >= from_day)
        return np.sort(self.rng.permutation(late)[: max(round(share * len(self.rows)), 10)])

    def episodes(self, number: int, size: int, *, from_day: float = TRAIN_DAYS) -> pd.DataFrame:
        """New rows of some accounts, each within half a day, labelled as fraud."""
        account_N = np.repeat(self.rng.integers(0, self.num_accounts, number), size)
        start_N = np.repeat(self.rng.uniform(from_day, NUM_DAYS - 1, number), size)
        rows = self.rows.iloc[self.rng.integers(0, len(self.rows), number * size)].copy()
        rows["account"], rows["fraud"] = account_N, True
        rows["day"] = start_N + self.rng.uniform(0, 0.5, len(rows))
        rows["shop"] = self.rng.integers(0, 400, len(rows))
        rows["log"] = self.level[account_N] + _LEVELS[rows["category"]]
        rows["log"] += self.rng.normal(0, 0.5, len(rows))
        return rows

    def add(self, rows: pd.DataFrame) -> None:
        """Add rows to the log."""
        self.rows = pd.concat([self.rows, rows], ignore_index=True)


def draft(seed: int, *, num_accounts: int = 150, rows_each: float = 120) -> Draft:
    """Honest accounts: each has hours, shops, a mixture of categories and a level of amounts."""
    rng = np.random.default_rng(seed)
    wake = rng.normal(13, 2, num_accounts)
    level = rng.normal(0, 0.5, num_accounts)
    shops = rng.integers(0, 400, (num_accounts, 12))
    mixture = rng.dirichlet(np.ones(len(CATEGORIES)) * 2, num_accounts)
    account_N = np.repeat(np.arange(num_accounts), rng.poisson(rows_each, num_accounts))
    size = len(account_N)
    category_N = (rng.random(size)[:, None] > mixture.cumsum(1)[account_N]).sum(1)
    category_N = np.minimum(category_N, len(CATEGORIES) - 1)
    hour_N = (wake[account_N] + rng.normal(0, 3, size)) % 24
    rows = pd.DataFrame(
        {
            "account": account_N,
            "day": rng.integers(0, NUM_DAYS, size) + hour_N / 24,
            "category": category_N,
            "channel": np.where(category_N == 3, 1, np.where(rng.random(size) < 0.4, 2, 0)),
            "shop": shops[account_N, rng.integers(0, 12, size)],
            "log": level[account_N] + _LEVELS[category_N] + rng.normal(0, 0.5, size),
            "sign": 1.0,
            "fraud": False,
        }
    )
    often = rng.random(size) < 0.1  # a tenth of the time a shop where the account never was
    rows.loc[often, "shop"] = rng.integers(0, 400, int(often.sum()))
    return Draft(rng=rng, rows=rows, num_accounts=num_accounts, shops=shops, wake=wake, level=level)


def finished(log: Draft, *, hours: bool = True) -> World:
    """The table of a draft."""
    rows = log.rows.sort_values("day", kind="stable").reset_index(drop=True)
    seconds = (rows["day"] if hours else np.floor(rows["day"])) * 86_400
    names = {"category": CATEGORIES, "channel": CHANNELS}
    columns = {
        TRANSACTION_ID: [f"t{number}" for number in range(len(rows))],
        EVENT_TIME: pa.array(_FIRST_SECOND + seconds.to_numpy().astype("timedelta64[s]")).cast(
            pa.timestamp("us", tz="UTC")
        ),
        ACCOUNT_ID: [f"a{number}" for number in rows["account"]],
        COUNTERPARTY_ID: [f"m{number}" for number in rows["shop"]],
        AMOUNT: np.round(np.exp(rows["log"].to_numpy()) * rows["sign"].to_numpy(), 2),
        IS_FRAUD: rows["fraud"].to_numpy(),
    }
    for name in log.categorical:
        terms = names.get(name)
        columns[name] = [terms[code] if terms else f"{name}{code}" for code in rows[name]]
    features = {name: FeatureConfig(kind="categorical") for name in log.categorical}
    return World(table=pa.table(columns), features=features)


def few_rows(seed: int) -> World:
    """Three rows an account; fraud is a dear purchase on the web."""
    log = draft(seed, num_accounts=6_000, rows_each=3)
    chosen = log.places(0.02, from_day=0)
    log.rows.loc[chosen, "log"] += log.rng.normal(1.5, 0.4, len(chosen))
    log.rows.loc[chosen, "channel"] = 1
    log.rows.loc[chosen, "fraud"] = True
    return finished(log)


def single(seed: int) -> World:
    """Fraud of one transaction: an amount that is dear for this account, at a usual hour."""
    log = draft(seed)
    chosen = log.places(0.006)
    log.rows.loc[chosen, "log"] += log.rng.normal(1.8, 0.3, len(chosen))
    log.rows.loc[chosen, "fraud"] = True
    return finished(log)


def single_elsewhere(seed: int) -> World:
    """Fraud of one transaction at night, at a counterparty that is new to the account."""
    log = draft(seed)
    chosen = log.places(0.006)
    rows = log.rows.loc[chosen]
    night = (log.wake[rows["account"]] + 12 + log.rng.normal(0, 1.5, len(rows))) % 24
    log.rows.loc[chosen, "day"] = np.floor(rows["day"]) + night / 24
    log.rows.loc[chosen, "shop"] = log.rng.integers(0, 400, len(rows))
    log.rows.loc[chosen, "log"] += log.rng.normal(0.8, 0.3, len(rows))
    log.rows.loc[chosen, "fraud"] = True
    return finished(log)


def heavy(seed: int) -> World:
    """Six in a hundred transactions are fraud, in training too: dear, and on the web."""
    log = draft(seed)
    rows = log.episodes(round(0.06 * len(log.rows) / 4), 4, from_day=0)
    rows["channel"] = np.where(log.rng.random(len(rows)) < 0.7, 1, rows["channel"])
    rows["log"] += log.rng.normal(1.2, 0.4, len(rows))
    log.add(rows)
    return finished(log)


def in_training(seed: int) -> World:
    """Takeovers from the first day on, as many in the training log as after it."""
    log = draft(seed)
    log.add(_takeovers(log, 60, from_day=0))
    return finished(log)


def no_categories(seed: int) -> World:
    """Takeovers in a log of amounts, times and counterparties alone."""
    log = draft(seed)
    log.add(_takeovers(log, 25))
    log.categorical = ()
    return finished(log)


def combinations(seed: int) -> World:
    """Device, system and language belong together; fraud has each of another account."""
    log = draft(seed)
    kinds = log.rng.integers(0, 6, (log.num_accounts, 2))  # every account uses two combinations
    size = len(log.rows)
    kind_N = kinds[log.rows["account"], log.rng.integers(0, 2, size)]
    chosen = log.places(0.006)
    for place, name in enumerate(("device", "system", "language")):
        code_N = (kind_N * (place + 1) + place) % 7
        usual = log.rng.random(size) < 0.03  # now and then something else
        code_N = np.where(usual & (place == 2), log.rng.integers(0, 7, size), code_N)
        log.rows[name] = code_N
        log.rows.loc[chosen, name] = log.rng.permutation(code_N)[: len(chosen)]
    log.rows.loc[chosen, "fraud"] = True
    log.categorical = ("category", "channel", "device", "system", "language")
    return finished(log)


def no_hours(seed: int) -> World:
    """Dates without hours; takeovers."""
    log = draft(seed)
    log.add(_takeovers(log, 25))
    return finished(log, hours=False)


def low_amounts(seed: int) -> World:
    """Cards are tested with small amounts at three counterparties."""
    log = draft(seed)
    rows = log.episodes(50, 2)
    rows["log"] = log.rng.normal(0.5, 0.5, len(rows))
    rows["shop"] = log.rng.integers(0, 3, len(rows))
    rows["channel"] = 1
    log.add(rows)
    return finished(log)


def bad_counterparty(seed: int) -> World:
    """Cards that paid at a counterparty gone bad are charged again there, a half more."""
    log = draft(seed)
    rows = log.episodes(130, 1)
    rows["day"] = TRAIN_DAYS + 5 + log.rng.uniform(0, 12, len(rows))
    rows["shop"] = 400 + log.rng.integers(0, 3, len(rows))
    rows["log"] += log.rng.normal(0.6, 0.3, len(rows))
    log.add(rows)
    honest = log.episodes(150, 1, from_day=0)
    honest["shop"], honest["fraud"] = 400 + log.rng.integers(0, 3, len(honest)), False
    log.add(honest)
    return finished(log)


def rings(seed: int) -> World:
    """Money moves in rings of accounts, nearly the same sum at each step."""
    log = draft(seed)
    parts = []
    for _ in range(25):
        size = int(log.rng.integers(3, 7))
        ring = log.rng.choice(log.num_accounts, size, replace=False)
        rows = log.episodes(1, size)
        rows["account"], rows["shop"] = ring, 1_000 + np.roll(ring, 1)
        rows["day"] = np.floor(rows["day"]) + np.sort(log.rng.uniform(0, 2, size))
        rows["log"] = log.rng.normal(5.5, 0.4) + log.rng.normal(0, 0.03, size)
        parts.append(rows)
    log.add(pd.concat(parts))
    friends = log.episodes(600, 1, from_day=0)
    friends["fraud"], friends["shop"] = False, 1_000 + log.rng.integers(0, 150, len(friends))
    log.add(friends)
    return finished(log)


def rhythms(seed: int) -> World:
    """Salaries and rents come every month, far above any purchase; takeovers lie below them."""
    log = draft(seed)
    for place, (sign, level) in enumerate(((-1.0, 8.0), (1.0, 7.0))):
        month_N = np.tile(np.arange(5), log.num_accounts)
        account_N = np.repeat(np.arange(log.num_accounts), 5)
        rows = log.rows.iloc[log.rng.integers(0, len(log.rows), len(account_N))].copy()
        rows["account"], rows["sign"] = account_N, sign
        rows["day"] = month_N * 30 + 1 + place + log.rng.uniform(0.3, 0.5, len(rows))
        rows["log"] = level + log.level[account_N] + log.rng.normal(0, 0.02, len(rows))
        rows["shop"] = 500 + 200 * place + account_N
        log.add(rows)
    log.add(_takeovers(log, 25))
    return finished(log)


def refunds(seed: int) -> World:
    """One purchase in fifteen is paid back; fraud is a refund of more than was ever paid."""
    log = draft(seed)
    honest = log.rng.random(len(log.rows)) < 0.07
    log.rows.loc[honest, "sign"] = -1.0
    chosen = log.places(0.006)
    log.rows.loc[chosen, "sign"] = -1.0
    log.rows.loc[chosen, "log"] += log.rng.normal(1.5, 0.4, len(chosen))
    log.rows.loc[chosen, "fraud"] = True
    return finished(log)


def giant(seed: int) -> World:
    """One account has a third of all rows; takeovers of the others."""
    log = draft(seed)
    rows = log.episodes(1, len(log.rows) // 2, from_day=0)
    rows["account"], rows["fraud"] = 0, False
    rows["day"] = log.rng.uniform(0, NUM_DAYS, len(rows))
    log.add(rows)
    log.add(_takeovers(log, 25))
    return finished(log)


def _takeovers(log: Draft, number: int, *, from_day: float = TRAIN_DAYS) -> pd.DataFrame:
    """Episodes of purchases at night and somewhat dearer."""
    rows = log.episodes(number, 5, from_day=from_day)
    start_N = np.floor(rows["day"])
    night_N = log.wake[rows["account"]] + 11 + log.rng.normal(0, 2, len(rows))
    rows["day"] = start_N + night_N % 24 / 24
    rows["log"] += log.rng.normal(0.9, 0.4, len(rows))
    return rows


WORLDS: Mapping[str, Callable[[int], World]] = {
    "few rows an account": few_rows,
    "one dear transaction": single,
    "one transaction elsewhere": single_elsewhere,
    "6 % fraud": heavy,
    "fraud in training": in_training,
    "no categories": no_categories,
    "combinations": combinations,
    "no hours": no_hours,
    "low amounts": low_amounts,
    "bad counterparty": bad_counterparty,
    "rings": rings,
    "salaries and rents": rhythms,
    "refunds": refunds,
    "one giant account": giant,
}
"""How each world is made, by what is particular about it."""
