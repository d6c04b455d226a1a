"""Laws of the check for drift: of the index, of bins, of chance, of weeks, and planted shifts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recsys.datasets.origin import Origin
from recsys.drift.bins import NumericBins, by_rank, by_term
from recsys.drift.columns import Column, ColumnDrift, compare, verdict_of
from recsys.drift.config import DriftConfig
from recsys.drift.report import check_drift
from recsys.drift.stability import (
    chance_of,
    contributions,
    design_effect,
    population_stability,
)
from recsys.drift.windows import CURRENT, OUTSIDE, Windows, sample_rows
from recsys.errors import ConfigError, DataError

CONFIG = DriftConfig()
NUM_WEEKS = 4
DAY = date(2026, 3, 31)

counts = hnp.arrays(np.int64, st.shared(st.integers(1, 12), key="B"), elements=st.integers(0, 500))
numbers = hnp.arrays(
    np.float64,
    st.integers(1, 80),
    elements=st.one_of(st.sampled_from([0.0, 1.0, np.nan]), st.floats(-1e6, 1e6)),
)
terms = st.lists(st.one_of(st.none(), st.sampled_from("abcdefgh")), min_size=1, max_size=80)

Draw = Callable[[np.random.Generator, int], np.ndarray | pa.Array]

POPULATIONS: dict[str, tuple[str, Draw]] = {
    "normal": ("numeric", lambda rng, n: rng.normal(size=n)),
    "whole": ("numeric", lambda rng, n: np.round(rng.exponential(size=n))),
    "zeros": ("numeric", lambda rng, n: rng.lognormal(size=n) * (rng.random(n) < 0.4)),
    "few terms": ("categorical", lambda rng, n: pa.array(rng.binomial(5, 0.3, n))),
    "many terms": ("categorical", lambda rng, n: pa.array(rng.zipf(1.4, n))),
    "ids": ("categorical", lambda rng, n: pa.array(rng.integers(0, 10**9, n))),
    "popularity": ("frequency", lambda rng, n: pa.array(rng.zipf(1.4, n))),
    "even popularity": ("frequency", lambda rng, n: pa.array(rng.integers(0, 50, n))),
    "embedding": ("embedding", lambda rng, n: rng.normal(size=(n, 6)) * np.arange(1, 7)),
}


def weeks_of(num_rows: int) -> np.ndarray:
    """Blocks of as many rows each: the current one, then those of the reference."""
    return np.repeat(np.arange(1 + NUM_WEEKS), num_rows)


def compared(kind: str, values: object, blocks_N: np.ndarray) -> ColumnDrift:
    """A column compared under default settings."""
    found = compare(Column(name="x", kind=kind, values=values, blocks_N=blocks_N), CONFIG)
    assert found is not None
    return found


@given(reference=counts, current=counts)
def test_the_index_is_finite_not_negative_and_symmetric(
    reference: np.ndarray, current: np.ndarray
) -> None:
    """Whatever the counts, each bin adds something finite of at least 0, from both sides alike."""
    added = contributions(reference, current)

    assert np.isfinite(added).all()
    assert (added >= 0).all()
    assert population_stability(reference, current) == pytest.approx(added.sum())
    assert population_stability(current, reference) == pytest.approx(added.sum())
    assert population_stability(reference, reference) == 0


def test_the_index_is_what_its_definition_says() -> None:
    """With many rows the index is the sum of (p - q) ln(p / q) over the shares."""
    p, q = np.array([0.2, 0.3, 0.5]), np.array([0.4, 0.3, 0.3])
    found = population_stability((p * 10**8).astype(np.int64), (q * 10**8).astype(np.int64))

    assert found == pytest.approx(((p - q) * np.log(p / q)).sum(), rel=1e-6)


def test_counts_of_other_bins_are_refused() -> None:
    """Two samples are compared in the same bins or not at all."""
    with pytest.raises(ConfigError, match="same bins"):
        population_stability(np.array([1, 2]), np.array([1, 2, 3]))


@given(values=numbers)
def test_a_numeric_sample_does_not_drift_from_itself(values: np.ndarray) -> None:
    """The same numbers, missing ones and ties among them, give 0."""
    found = compared("numeric", np.tile(values, 2), np.repeat([CURRENT, 1], len(values)))

    assert found.psi == 0
    assert found.verdict == "stable"


@given(values=terms)
def test_a_categorical_sample_does_not_drift_from_itself(values: list[str | None]) -> None:
    """The same terms give 0, each of them being there twice, as a term seen once is a new one."""
    column = pa.array(values * 4, pa.string())
    found = compared("categorical", column, np.repeat([CURRENT, 1], 2 * len(values)))

    assert found.psi == 0


@given(values=numbers, seed=st.integers(0, 99))
def test_neither_order_nor_scale_matters(values: np.ndarray, seed: int) -> None:
    """The index of numbers is the same in any order and under an increasing transform."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 3, len(values))
    blocks[0], values = 1, np.append(values, 0.0)
    blocks = np.append(blocks, CURRENT)
    order = rng.permutation(len(values))
    found = compared("numeric", values, blocks)
    # Ranks stand for every increasing transform, and lose nothing to rounding.
    ranks = np.searchsorted(np.unique(values[~np.isnan(values)]), values).astype(np.float64)
    ranks[np.isnan(values)] = np.nan

    assert compared("numeric", values[order], blocks[order]) == found
    assert compared("numeric", np.exp(ranks / 10), blocks).psi == found.psi


@pytest.mark.parametrize("kind", ["categorical", "frequency"])
def test_order_does_not_matter_to_terms(kind: str) -> None:
    """The index of terms is the same in any order of the rows."""
    rng = np.random.default_rng(0)
    values, blocks = rng.zipf(1.5, 3000), rng.integers(0, 5, 3000)
    order = rng.permutation(3000)

    assert compared(kind, pa.array(values[order]), blocks[order]) == compared(
        kind, pa.array(values), blocks
    )


@given(values=numbers)
def test_every_number_has_one_bin(values: np.ndarray) -> None:
    """Bins are in the order of the numbers, the last is for what is missing, and all have names."""
    bins = NumericBins.fit(values)
    codes, order = bins.codes(values), np.argsort(values)
    is_missing = np.isnan(values)

    assert len(bins.labels) == len(bins)
    assert (codes[is_missing] == len(bins) - 1).all()
    assert (codes[~is_missing] < len(bins) - 1).all()
    assert (np.diff(codes[order]) >= 0).all()


def test_a_frequent_number_has_a_bin_of_its_own() -> None:
    """What is below, at and above a heavy tie is kept apart, even if the reference has it alone."""
    bins = NumericBins.fit(np.full(50, 7.0))

    assert bins.codes(np.array([6.9, 7.0, 7.1, np.nan])).tolist() == [0, 1, 2, 3]
    assert bins.labels == ["< 7", "= 7", "> 7", "missing"]


@pytest.mark.parametrize("as_term", [True, False])
def test_rows_of_terms_are_all_counted(as_term: bool) -> None:
    """Each row of the probe falls into one bin; those of the base too, or half of them rank."""
    rng = np.random.default_rng(1)
    values = pa.array(np.where(rng.random(4000) < 0.1, None, rng.zipf(1.5, 4000).astype(object)))
    blocks = rng.integers(0, 3, 4000)
    binned = (by_term if as_term else by_rank)(values, blocks, 3)
    base, probe = binned.counts([1, 2], CURRENT)

    assert probe.sum() == np.count_nonzero(blocks == 0)
    share = base.sum() / np.count_nonzero(blocks > 0)
    assert share == 1 if as_term else share == pytest.approx(0.5, abs=0.05)
    assert len(base) == len(probe) == len(binned.labels) <= 53


def test_chance_is_what_samples_of_one_population_show() -> None:
    """Mean and spread of the index over draws are those that the formula gives."""
    rng = np.random.default_rng(0)
    shares, n, m = np.full(8, 1 / 8), 4000, 1000
    found = [
        population_stability(rng.multinomial(n, shares), rng.multinomial(m, shares))
        for _ in range(4000)
    ]
    chance = chance_of(8, n, m)

    assert np.mean(found) == pytest.approx(chance.expected, rel=0.03)
    assert np.std(found) == pytest.approx(chance.spread, rel=0.06)
    assert np.mean(np.array(found) > chance.bound) < 0.003


@pytest.mark.parametrize("name", POPULATIONS)
@pytest.mark.parametrize("num_rows", [100, 1000, 10_000])
def test_nothing_is_found_where_nothing_changed(name: str, num_rows: int) -> None:
    """Of 300 draws without drift at least 99 % are stable, few rows or many."""
    kind, draw = POPULATIONS[name]
    num_draws = 300 if num_rows < 10_000 else 30  # with many rows even the limit is far away
    blocks = weeks_of(num_rows)
    verdicts = [
        compared(kind, draw(np.random.default_rng(seed), len(blocks)), blocks).verdict
        for seed in range(num_draws)
    ]

    assert verdicts.count("stable") >= 0.99 * num_draws


@pytest.mark.parametrize("seed", range(20))
def test_planted_shifts_are_found(seed: int) -> None:
    """A mean moved by one deviation, a new term of 20 % and 30 % missing are found in 2,000 rows.

    So is an embedding whose axes are turned or whose dimensions change places.
    """
    rng = np.random.default_rng(seed)
    blocks = weeks_of(2000)
    is_current = blocks == CURRENT
    plain, few = rng.normal(size=len(blocks)), rng.binomial(5, 0.3, len(blocks)).astype(object)
    vectors = rng.normal(size=(len(blocks), 6)) * np.arange(1, 7)
    chance = rng.random(len(blocks))
    turn, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    planted = {
        "mean": ("numeric", plain + is_current),
        "new": ("categorical", pa.array(np.where(is_current & (chance < 0.2), 99, few).tolist())),
        "missing": ("numeric", np.where(is_current & (chance < 0.3), np.nan, plain)),
        "no term": (
            "categorical", pa.array(np.where(is_current & (chance < 0.3), None, few).tolist())
        ),
        "turned": ("embedding", np.where(is_current[:, None], vectors @ turn, vectors)),
        "places": ("embedding", np.where(is_current[:, None], vectors[:, ::-1], vectors)),
    }  # fmt: skip
    found = {name: compared(kind, values, blocks) for name, (kind, values) in planted.items()}

    assert {name: one.verdict for name, one in found.items() if one.verdict == "stable"} == {}
    assert found["new"].shift.bin == "unseen"
    assert found["missing"].shift.bin == found["no term"].shift.bin == "missing"
    assert found["missing"].shift.current_share == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("stays", [False, True])
def test_rows_of_one_user_count_for_few(stays: bool) -> None:
    """Users with many rows of their own taste are no drift, whether they come once or stay.

    That the same users change theirs is drift.
    """
    num_users, num_rows = 40, 60
    blocks = np.repeat(np.arange(1 + NUM_WEEKS), num_users * num_rows)
    users = np.repeat(np.arange(num_users * (1 + NUM_WEEKS)), num_rows)
    users = users % num_users if stays else users
    verdicts = []
    for seed in range(200):
        taste = np.random.default_rng(seed).integers(0, 6, users.max() + 1)[users]
        column = Column(
            name="x", kind="categorical", values=pa.array(taste), blocks_N=blocks, groups_N=users
        )
        found = compare(column, CONFIG)
        assert found is not None
        verdicts.append(found.verdict)
    turned = np.where((blocks == CURRENT) & (users % 2 == 0), 0, taste)
    changed = compare(replace(column, values=pa.array(turned)), CONFIG)

    assert verdicts.count("stable") >= 0.99 * len(verdicts)
    assert not stays or (changed is not None and changed.verdict == "major")


def test_rows_that_stand_alone_have_no_design_effect() -> None:
    """With a group for each row chance is that of the formula; with ten rows each, ten times it."""
    rng = np.random.default_rng(0)
    bins, is_current = rng.integers(0, 5, 5000), np.arange(5000) < 1000
    alone = design_effect(bins, is_current, np.arange(5000), 5)
    tens = design_effect(
        np.repeat(bins, 10), np.repeat(is_current, 10), np.repeat(np.arange(5000), 10), 5
    )

    assert alone == pytest.approx(1, rel=0.02)
    assert tens == pytest.approx(10, rel=0.02)


def test_what_earlier_weeks_showed_is_no_drift() -> None:
    """A week that differs as weeks differ is stable; the same week after even ones is drift."""
    rng = np.random.default_rng(0)
    blocks = weeks_of(2000)
    noise = rng.normal(size=len(blocks))
    usual = np.array([1.0, 1.2, -1.2, 1.1, -1.1])[blocks]
    even = np.array([1.0, 0, 0, 0, 0])[blocks]
    restless, after_even = (compared("numeric", noise + mean, blocks) for mean in (usual, even))

    assert restless.psi > CONFIG.moderate
    assert restless.verdict == "stable"
    assert after_even.verdict == "major"
    assert restless.yardstick is not None
    assert after_even.yardstick is not None
    assert restless.yardstick > restless.psi > after_even.yardstick


def test_a_week_of_few_rows_is_no_yardstick() -> None:
    """Where a log begins within a week, its few rows do not hide a shift."""
    rng = np.random.default_rng(0)
    blocks = weeks_of(2000)
    is_left = (blocks != NUM_WEEKS) | (np.cumsum(blocks == NUM_WEEKS) <= 5)
    blocks = blocks[is_left]
    values = rng.normal(size=len(blocks)) + (blocks == CURRENT) + 5 * (blocks == NUM_WEEKS)

    assert compared("numeric", values, blocks).verdict == "major"


@given(psi=st.floats(0, 3), bound=st.floats(0, 3), yardstick=st.one_of(st.none(), st.floats(0, 3)))
def test_a_verdict_needs_all_three(psi: float, bound: float, yardstick: float | None) -> None:
    """Drift exceeds its limit, the bound of chance and the yardstick, and stable is the rest."""
    usual = max(bound, yardstick or 0)
    verdict = verdict_of(psi, bound=bound, yardstick=yardstick, config=CONFIG)

    assert (verdict == "major") == (psi > CONFIG.major and psi > usual)
    assert (verdict != "stable") == (psi > CONFIG.moderate and psi > usual)


def test_a_column_without_rows_in_a_window_is_skipped() -> None:
    """Nothing is said of a column that one of the windows lacks; the report names it."""
    lacking = Column(name="x", kind="numeric", values=np.zeros(9), blocks_N=np.ones(9, np.int64))
    report = check_drift([lacking], CONFIG, Windows.of(CONFIG, DAY))

    assert report.skipped == ("x",)
    assert report.verdict == "stable"


def test_only_columns_that_exist_can_be_asked_for() -> None:
    """`columns` picks among the columns, and a wrong name is refused."""
    given_columns = [
        Column(name=name, kind="numeric", values=np.zeros(20), blocks_N=weeks_of(4))
        for name in ("a", "b")
    ]
    windows = Windows.of(CONFIG, DAY)
    found = check_drift(given_columns, DriftConfig(columns=("b",)), windows)

    assert [one.name for one in found.columns] == ["b"]
    with pytest.raises(ConfigError, match=r"among a, b, got 'c'"):
        check_drift(given_columns, DriftConfig(columns=("c",)), windows)


@given(window=st.integers(1, 14), more=st.integers(0, 40))
def test_windows_are_whole_days_that_meet(window: int, more: int) -> None:
    """Each day is in one block: the last ones current, those before reference, none without days.

    The blocks of the reference are as long as the current window, but for the oldest.
    """
    config = DriftConfig(window_days=window, reference_days=window + more)
    windows = Windows.of(config, DAY)
    days = np.arange(-100, 2) + (DAY - date(1970, 1, 1)).days
    blocks = windows.blocks(days)
    lengths = [int(np.count_nonzero(blocks == block)) for block in range(windows.num_blocks)]

    assert blocks[-1] == blocks[0] == OUTSIDE
    assert lengths[:-1] == [window] * (windows.num_blocks - 1)
    assert window <= lengths[-1] < 2 * window
    assert sum(lengths) == window + config.reference_days
    assert windows.last_reference + timedelta(days=1) == windows.first_current
    assert (np.diff(blocks[blocks != OUTSIDE]) <= 0).all()


def test_a_log_without_one_of_the_windows_is_refused() -> None:
    """The message says which days have no events."""
    windows = Windows.of(CONFIG, DAY)
    origin = Origin(file="log.parquet", column="when")

    windows.require_rows(np.array([CURRENT, 1]), origin)
    with pytest.raises(DataError, match="2026-03-25 to 2026-03-31"):
        windows.require_rows(np.array([1, OUTSIDE]), origin)
    with pytest.raises(DataError, match="2026-02-25 to 2026-03-24"):
        windows.require_rows(np.array([CURRENT, OUTSIDE]), origin)


def test_a_sample_is_repeatable_and_bounded() -> None:
    """As many rows of either window as there may be, in their order, the same for a seed."""
    blocks = np.random.default_rng(0).integers(-1, 5, 1000)
    rows = sample_rows(blocks, limit=100, seed=3)

    assert np.array_equal(rows, sample_rows(blocks, limit=100, seed=3))
    assert (np.diff(rows) > 0).all()
    assert np.count_nonzero(blocks[rows] == CURRENT) == 100
    assert np.count_nonzero(blocks[rows] > CURRENT) == 100
    assert len(sample_rows(blocks, limit=1000, seed=3)) == np.count_nonzero(blocks >= 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window_days": 7, "reference_days": 6}, "at least the 7 window_days"),
        ({"moderate": 0.3}, "at least moderate"),
    ],
)
def test_settings_that_disagree_are_refused(settings: dict[str, float], message: str) -> None:
    """The reference is as long as the window at least, and major is no less than moderate."""
    with pytest.raises(ConfigError, match=message):
        DriftConfig(**settings)
