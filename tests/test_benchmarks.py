"""What the benchmarks do by themselves: tuning, EASE, the page that they write."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The scripts as their folders' scripts see each other."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.syspath_prepend(str(BENCHMARKS / "peers"))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@given(best=st.tuples(st.integers(0, 5), st.integers(0, 3)), start=st.integers(0, 5))
def test_a_hill_is_climbed_from_anywhere(best: tuple[int, int], start: int) -> None:
    """Of settings that do not depend on each other the best are found."""
    from climb import climb

    ladders = {"a": range(6), "b": range(4)}
    found, num_tried = climb(
        {"a": start, "b": 0},
        ladders,
        lambda at: -abs(at["a"] - best[0]) - 3 * abs(at["b"] - best[1]),
    )
    assert (found["a"], found["b"]) == best
    assert num_tried <= 6 + 4


def test_ease_is_the_closed_form() -> None:
    """Weights in place, from one triangle, against the plain inverse."""
    from methods import METHODS

    rng = np.random.default_rng(0)
    dense = (rng.random((40, 700)) < 0.1).astype(np.float32)
    precision = np.linalg.inv(dense.T.astype(np.float64) @ dense + 10 * np.eye(700))
    weights = precision / -np.diag(precision)
    np.fill_diagonal(weights, 0)
    scores = dense @ weights
    scores[dense > 0] = -np.inf

    lists = METHODS["EASE"].fit(sparse.csr_matrix(dense), {"regularization": 10})(np.arange(40), 5)
    expected = np.sort(scores, axis=1)[:, ::-1][:, :5]
    np.testing.assert_allclose(
        np.take_along_axis(scores, lists, axis=1), expected, rtol=1e-3, atol=1e-5
    )


def test_a_section_is_replaced_and_the_others_stay() -> None:
    """The page keeps what was not run, in the order of the scripts."""
    from run_all import SECTIONS, with_section

    first, second = SECTIONS[0], SECTIONS[-1]
    page = with_section(with_section("", second, "| old |"), first, "| first |")
    changed = with_section(page, second, "| new |")
    assert "| first |" in changed
    assert "| new |" in changed
    assert "| old |" not in changed
    assert changed.index(first.title) < changed.index(second.title)
    assert with_section(changed, second, "| new |") == changed


def test_the_core_of_a_log_has_no_rare_users_or_items() -> None:
    """Taking out one makes others rare."""
    from next_item import core

    users = pa.array([1, 1, 2, 2, 3, 3, 4])
    items = pa.array([1, 2, 1, 2, 1, 9, 2])
    kept = core(pa.table({"user_id": users, "item_id": items}), 2)
    assert sorted(zip(*kept.to_pydict().values(), strict=True)) == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_columns_of_the_components_hold_what_was_encoded() -> None:
    """One column a code and one a number; the part of each target gives it back."""
    import torch
    from fraud_components import one_hot, parts

    from recsys.features.encoder import EncodedTable
    from recsys.fraud.embedding.autoencoder import InputColumns

    columns = InputColumns(
        categorical={"shop": 4, "country": 3}, numeric=("amount",), targets=("country", "amount")
    )
    codes_NC = torch.tensor([[3, 0], [0, 2], [1, 1]])
    numeric_NM = torch.tensor([[0.5, 0.0], [-2.0, 0.0], [0.0, 1.0]])
    encoded = EncodedTable(categorical=codes_NC, multi_hot=(), numeric=numeric_NM, dense=())

    x_NV = one_hot(encoded, columns).toarray()
    country, amount = parts(columns)
    assert x_NV.shape == (3, 4 + 3 + 2)
    np.testing.assert_array_equal(x_NV[:, country].argmax(1), codes_NC[:, 1])
    np.testing.assert_array_equal(x_NV[:, amount][:, 0], numeric_NM[:, 0])
    np.testing.assert_array_equal(x_NV[:, :7].sum(1), [2, 2, 2])


def test_copies_of_accounts_know_what_the_account_knew() -> None:
    """Every copy has an id of its own and the whole state of its account."""
    from fraud_growth import _copied, _copied_rows

    from recsys.features.vocabulary import Vocabulary
    from recsys.fraud.profiles.state import empty_state

    shops = Vocabulary(pa.array(["s"]))
    state = empty_state(Vocabulary(pa.array(["a", "b"])), shops, num_values=3, until=0.0)
    state.accounts.values[:] = np.arange(6).reshape(2, 3)
    state.cumulative_score[:] = [[1, 2], [3, 4]]
    copied = _copied(state, 3)
    rows = _copied_rows(pa.table({"account_id": ["b", "a"], "transaction_id": ["1", "2"]}), 3)

    assert len(copied.account_ids) == len(set(rows["account_id"].to_pylist())) == 6
    places = copied.account_ids.numbers(rows["account_id"])
    np.testing.assert_array_equal(copied.accounts.values[places, 0], [3, 3, 3, 0, 0, 0])
    np.testing.assert_array_equal(copied.cumulative_score[places, 1], [4, 4, 4, 2, 2, 2])
    assert len(set(rows["transaction_id"].to_pylist())) == 6


@pytest.mark.parametrize("seed", [0, 1])
def test_a_new_country_is_one_where_the_account_never_was(seed: int) -> None:
    """Days after the training go abroad as a whole; nothing else of the log changes."""
    from planted_logs import with_new_countries

    from recsys.datasets.synthetic.transactions import Plant, synthetic_transactions

    plants = [Plant(kind="takeover", day=25)]
    log = synthetic_transactions(num_accounts=20, num_days=30, seed=seed, planted=plants)
    num_train = log.table.num_rows // 2
    before = log.table.to_pandas()
    after = with_new_countries(log.table, num_train, seed=seed).to_pandas()

    others = [name for name in before if name not in ("country", "is_fraud", "plant")]
    assert after[others].equals(before[others])
    moved = after["plant"] == "new_country"
    assert moved.any()
    assert moved[:num_train].sum() == 0
    assert after[~moved].equals(before[~moved])
    assert after["is_fraud"].equals(before["is_fraud"] | moved)
    been = set(zip(before["account_id"], before["country"], strict=True))
    gone = after[moved]
    assert been.isdisjoint(zip(gone["account_id"], gone["country"], strict=True))


def test_rows_about_the_embedding_divide_the_evidence() -> None:
    """What is the embedding's and what is not are all of it, and share nothing."""
    from types import SimpleNamespace

    from fraud_ablation import _choices

    from recsys.fraud.profiles.arrays import EVIDENCE

    names = (*EVIDENCE, "reconstruction_country", "reconstruction_hour_of_day")
    inputs = SimpleNamespace(covered=("hour_of_day",))
    choices = _choices(SimpleNamespace(model=SimpleNamespace(evidence_names=names, inputs=inputs)))
    everything, rest, alone = (
        choices[name][0] for name in ("everything", "without the embedding", "the embedding alone")
    )
    assert sorted(rest + alone) == sorted(everything) == sorted(names)
    assert set(alone) == {name for name in names if name.endswith("distance") or "_of_" in name} | {
        "reconstruction_country"
    }
    only = choices["no embedding but columns that no habit covers"][0]
    assert [name for name in only if name not in rest] == ["reconstruction_country"]


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_bound_is_bayes_rule_over_all_that_may_have_happened(seed: int) -> None:
    """A compromise goes on as probably as by weighing every set of days on which one may begin."""
    from handbook_bound import _LOOK_BACK, DELAY_DAYS, Compromise, is_active

    rng = np.random.default_rng(seed)
    rule = Compromise(share=float(rng.uniform(0.05, 0.4)), length=int(rng.integers(2, 4)))
    num_days = _LOOK_BACK * rule.length
    time_n = np.sort(rng.uniform(0, num_days, 30))
    time_n[-1] = num_days - 0.5
    group_n, said_n2 = rng.integers(0, 3, 30), rng.normal(size=(30, 2))
    found = is_active(group_n, time_n, said_n2, np.array([29]), rule)
    same = group_n[:-1] == group_n[-1]
    is_known = (time_n[:-1] + DELAY_DAYS <= time_n[-1]).astype(int)
    said_s = np.bincount(
        time_n[:-1][same].astype(int),
        said_n2[np.arange(29), is_known][same],
        minlength=num_days,
    )
    masses = np.zeros(2)
    for number in range(2**num_days):
        begins = (number >> np.arange(num_days)) & 1
        goes_on = np.convolve(begins, np.ones(rule.length))[:num_days] > 0
        prior = np.prod(np.where(begins, rule.share, 1 - rule.share))
        masses[int(goes_on[-1])] += prior * np.exp(said_s[goes_on].sum())
    np.testing.assert_allclose(found, masses[1] / masses.sum(), rtol=1e-9)
