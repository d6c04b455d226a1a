"""How often an ordinary night is held: shops that do not change, retrained every night.

    python benchmarks/unchanged_nights.py --nights 30

Three generated shops, each with one taste, one popularity and one number of events a day that stay
the same for ever. Every night the log has one day more, a model is trained on all of it and lists
are written, with the real commands and the default limits. Nothing is wrong on any of these nights,
so each that is held is a false alarm. Writes Markdown: a row for each shop, and what the count says
of the rate of false alarms (Clopper and Pearson 1934).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import stats

from pipelines.cli import main as run_recsys

HEADER = (
    "| shop | users | items | events a day | nights | models held | lists held | rules | "
    "half-lives chosen |\n|---|---|---|---|---|---|---|---|---|"
)
FIRST_DAY = date(2026, 1, 1)


@dataclass(frozen=True, kw_only=True)
class UnchangedShop:
    """A shop whose customers, taste and trade stay what they are."""

    name: str
    """Its name in the table."""
    num_users: int
    """Customers."""
    num_items: int
    """Items on sale."""
    events_a_day: int
    """Mean number of events of a day (Poisson)."""
    num_tastes: int
    """Groups of customers and items that go together."""
    taste: float
    """How many times more likely an item of the own group is."""
    zipf: float
    """Exponent of the popularity of items."""
    days_before: int
    """Days of log on the first night."""
    buys_again: bool = False
    """Whether customers buy what they had before, and lists may say so."""
    newcomers: float = 0.0
    """Share of customers who are there only from some day on."""
    settings: str = ""
    """Further settings."""

    def log(self, num_days: int, seed: int) -> pa.Table:
        """Events of the first days; those of a day are the same however many follow."""
        rng = np.random.default_rng(seed)
        popular_C = 1 / np.arange(1, self.num_items + 1) ** self.zipf
        item_group_C = rng.integers(self.num_tastes, size=self.num_items)
        user_group_U = rng.integers(self.num_tastes, size=self.num_users)
        active_U = rng.lognormal(0, 1, self.num_users)
        since_U = np.where(
            rng.random(self.num_users) < self.newcomers,
            rng.integers(num_days, size=self.num_users),
            0,
        )
        shares_GC = popular_C * np.where(
            item_group_C == np.arange(self.num_tastes)[:, None], self.taste, 1.0
        )
        shares_GC /= shares_GC.sum(axis=1, keepdims=True)
        own_UK = np.stack([
            rng.choice(self.num_items, 6, p=shares_GC[group], replace=False)
            for group in user_group_U
        ])  # fmt: skip
        parts = []
        for day in range(num_days):
            one = np.random.default_rng([seed, day])
            here_U = active_U * (since_U <= day)
            users = one.choice(
                self.num_users, one.poisson(self.events_a_day), p=here_U / here_U.sum()
            )
            items = np.array(
                [one.choice(self.num_items, p=shares_GC[user_group_U[u]]) for u in users]
            )
            if self.buys_again:
                again = one.random(len(users)) < 0.6
                items = np.where(again, own_UK[users, one.integers(6, size=len(users))], items)
            start = datetime.combine(FIRST_DAY, datetime.min.time(), UTC) + timedelta(days=day)
            micros = int(start.timestamp() * 10**6) + np.sort(
                one.integers(86_400 * 10**6, size=len(users))
            )
            parts.append(
                pa.table({
                    "user_id": pa.array([f"u{u:05d}" for u in users], pa.string()),
                    "item_id": pa.array([f"i{i:05d}" for i in items], pa.string()),
                    "event_time": pa.array(micros, pa.timestamp("us", tz="UTC")),
                })
            )  # fmt: skip
        return pa.concat_tables(parts)


SHOPS = (
    UnchangedShop(
        name="kiosk", num_users=150, num_items=60, events_a_day=80, num_tastes=3, taste=4,
        zipf=1.0, days_before=45,
    ),
    UnchangedShop(
        name="fashion", num_users=500, num_items=400, events_a_day=160, num_tastes=8, taste=12,
        zipf=0.8, days_before=50, newcomers=0.5,
    ),
    UnchangedShop(
        name="grocer", num_users=250, num_items=150, events_a_day=150, num_tastes=5, taste=6,
        zipf=1.2, days_before=40, buys_again=True,
        settings="\n[lists]\nk = 10\nfilter_seen = false\n",
    ),
)  # fmt: skip

CONFIG = """
[data]
interactions = "log.parquet"

[model]
embedding_dim = 32
hidden_dims = [16]

[training]
num_epochs = 8

[evaluation]
k = 10

[tracking]
enabled = false
"""
"""Small vectors and few epochs, so that a night takes seconds; whatever decides is the default."""


@dataclass(kw_only=True, eq=False)
class Found:
    """What the nights of a shop came to."""

    nights: int
    held: Counter[str]
    rules: Counter[str]
    half_lives: list[object]


def main() -> None:
    """Print the table, night by night on the error stream."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shops", nargs="+", default=[shop.name for shop in SHOPS])
    arguments = parser.parse_args()
    print(HEADER, flush=True)
    num_nights = num_held = 0
    for shop in SHOPS:
        if shop.name in arguments.shops:
            with tempfile.TemporaryDirectory() as folder:
                found = spend(shop, Path(folder), arguments.nights, arguments.seed)
            print(_row(shop, found), flush=True)
            num_nights += found.nights
            num_held += sum(found.held.values())
    print("\n" + _meaning(num_held, num_nights))


def spend(shop: UnchangedShop, folder: Path, num_nights: int, seed: int) -> Found:
    """Nights of a shop, each with a day more of its log."""
    lists = "" if shop.settings else "\n[lists]\nk = 10\n"
    (folder / "shop.toml").write_text(CONFIG + lists + shop.settings)
    log = shop.log(shop.days_before + num_nights, seed)
    days = log["event_time"].cast(pa.date32())
    found = Found(nights=num_nights, held=Counter(), rules=Counter(), half_lives=[])
    for night in range(num_nights):
        day = FIRST_DAY + timedelta(days=shop.days_before + night - 1)
        until = pa.array(np.asarray(days) <= np.datetime64(day))
        pq.write_table(log.filter(until), folder / "log.parquet")
        began = time.perf_counter()
        reported = {
            job: _run(job, folder, day) for job in ("train-recommender", "write-recommendations")
        }
        for job, status in reported.items():
            if status["outcome"] != "PUBLISHED":
                found.held[job] += 1
                found.rules[str(status.get("rule", status["outcome"]))] += 1
        selection = _selection(folder)
        found.half_lives.append(selection.get("popularity_half_life_days"))
        seconds = time.perf_counter() - began
        outcomes = ", ".join(_outcome(status) for status in reported.values())
        print(
            f"{shop.name} {day}: {outcomes}; {selection}; "
            f"{reported['train-recommender'].get('verdict', '')} {seconds:.1f} s",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    return found


def _run(job: str, folder: Path, day: date) -> Mapping[str, object]:
    """The status line of a command."""
    out, argv = io.StringIO(), sys.argv
    sys.argv = ["recsys", job, str(folder / "shop.toml"), "--as-of", str(day), "--quiet"]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            run_recsys()
    except SystemExit:
        pass
    finally:
        sys.argv = argv
    status: Mapping[str, object] = json.loads(out.getvalue().splitlines()[-1])
    return status


def _outcome(status: Mapping[str, object]) -> str:
    if status["outcome"] == "PUBLISHED":
        return f"published {status.get('ranking', '')}".strip()
    return (
        f"{status['outcome']} {status.get('rule')}: {status.get('observed')}, {status.get('limit')}"
    )


def _selection(folder: Path) -> Mapping[str, object]:
    """What the newest training chose."""
    metrics = max(folder.glob("runs/models/runs/*/*/metrics.json"))
    chosen: Mapping[str, object] = json.loads(metrics.read_text())["selection"]
    return chosen


def _row(shop: UnchangedShop, found: Found) -> str:
    rules = ", ".join(f"{rule} {count}" for rule, count in found.rules.most_common()) or "none"
    lives = Counter(str(one) if one is None else f"{one:.3g}" for one in found.half_lives)
    reported = ", ".join(f"{life} d ({count})" for life, count in lives.most_common())
    return (
        f"| {shop.name} | {shop.num_users} | {shop.num_items} | {shop.events_a_day} "
        f"| {found.nights} | {found.held['train-recommender']} "
        f"| {found.held['write-recommendations']} | {rules} | {reported} |"
    )


def _meaning(num_held: int, num_nights: int) -> str:
    """The upper end of the exact 95 % interval of the rate, one-sided."""
    most = 1.0 if num_held >= num_nights else float(
        stats.beta.ppf(0.95, num_held + 1, num_nights - num_held)
    )  # fmt: skip
    return (
        f"{num_held} of {num_nights} nights held; were nights independent, the rate of false "
        f"alarms would be below {most:.1%} with 95% confidence."
    )


if __name__ == "__main__":
    main()
