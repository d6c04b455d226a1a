"""Training of the autoencoder: it finds planted rules; frauds and busy accounts set none."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from planted_rows import (
    AMOUNT,
    HOUR,
    INPUTS,
    KIND,
    NUM_KINDS,
    NUM_SHOPS,
    SHOP,
    contaminated,
    planted,
    with_other_kind,
)
from scipy import stats
from sklearn.metrics import roc_auc_score

from recsys.datasets.dataset import FeatureConfig
from recsys.errors import DataError
from recsys.features.encoder import MISSING, NUM_RESERVED, UNSEEN, EncodedTable, TableEncoder
from recsys.fraud.config import AutoencoderConfig
from recsys.fraud.embedding.autoencoder import Autoencoder, FittedAutoencoder, InputColumns
from recsys.fraud.embedding.autoencoder_training import (
    Noisy,
    account_weights,
    fit_autoencoder,
    reconstruction_loss,
    start_at_constants,
    trimmed,
)

SPARKOV = Path(__file__).parents[3] / "shared" / "data" / "sparkov" / "transactions.parquet"
CONFIG = AutoencoderConfig(num_steps=250, hidden_dims=(32,))


def fitted_on(
    rows: EncodedTable, config: AutoencoderConfig = CONFIG, seed: int = 0, accounts: int = 100
) -> FittedAutoencoder:
    """An autoencoder of the planted columns; accounts take turns."""
    account_N = np.arange(len(rows)) % accounts
    return fit_autoencoder(rows, account_N=account_N, inputs=INPUTS, config=config, seed=seed)[0]


@pytest.fixture(scope="module")
def fitted() -> FittedAutoencoder:
    """An autoencoder of a log that holds frauds."""
    return fitted_on(contaminated(4000, seed=1)[0])


def test_a_broken_rule_surprises_in_the_columns_of_the_rule(fitted: FittedAutoencoder) -> None:
    """A shop that sells another kind surprises in shop and kind, not in hour and amount."""
    rows = planted(2000, seed=2)
    usual = fitted.measure(rows).surprise_NT
    broken = fitted.measure(with_other_kind(rows, np.arange(2000))).surprise_NT
    for column in (SHOP, KIND):
        assert np.quantile(broken[:, column], 0.02) > np.quantile(usual[:, column], 0.98)
        assert broken[:, column].mean() > usual[:, column].mean() + 2
    for column in (HOUR, AMOUNT):
        assert broken[:, column].mean() == pytest.approx(usual[:, column].mean(), abs=0.1)
    assert usual[:, SHOP].mean() == pytest.approx(np.log(NUM_SHOPS / NUM_KINDS), abs=0.2)


def test_a_number_is_measured_against_what_the_other_columns_say(
    fitted: FittedAutoencoder,
) -> None:
    """An amount that is usual in the log, but not at this hour, surprises in the amount."""
    rows = planted(2000, seed=3)
    moved = EncodedTable(
        categorical=rows.categorical,
        multi_hot=(),
        numeric=rows.numeric + torch.tensor([[2.0, 0.0]]) * (1 - 2 * (rows.numeric[:, :1] > 0)),
        dense=(),
    )
    usual = fitted.measure(rows).surprise_NT[:, AMOUNT]
    odd = fitted.measure(moved).surprise_NT[:, AMOUNT]
    assert np.quantile(odd, 0.02) > np.quantile(usual, 0.98)


def test_frauds_in_the_training_rows_do_not_become_usual(fitted: FittedAutoencoder) -> None:
    """The planted frauds that it was trained on surprise more than the rows around them."""
    rows, is_fraud = contaminated(4000, seed=1)
    surprise = fitted.measure(rows).surprise_NT
    for column in (SHOP, KIND):
        assert roc_auc_score(is_fraud, surprise[:, column]) > 0.97


@pytest.mark.parametrize("column", [SHOP, KIND, HOUR])
def test_an_unseen_term_surprises_as_much_as_any_known_one(
    fitted: FittedAutoencoder, column: int
) -> None:
    """In every row, the code of unseen terms is at least as surprising as each term."""
    rows = planted(50, seed=4)
    surprises = []
    for code in range(list(INPUTS.categorical.values())[column]):
        rows.categorical[:, column] = code
        surprises.append(fitted.measure(rows).surprise_NT[:, column])
    assert (surprises[UNSEEN] >= np.max(surprises[NUM_RESERVED:], axis=0)).all()
    assert (surprises[MISSING] > np.min(surprises[NUM_RESERVED:], axis=0) + 2).all()


def test_an_unseen_term_still_lets_the_others_be_reconstructed(fitted: FittedAutoencoder) -> None:
    """The shop is known to say nothing then: the amount still tells the hour."""
    rows = planted(500, seed=5)
    rows.categorical[:, SHOP] = UNSEEN
    surprise = fitted.measure(rows).surprise_NT
    assert surprise[:, HOUR].mean() < 0.2
    assert surprise[:, AMOUNT].mean() < 0.05


def test_one_busy_account_does_not_set_what_is_usual() -> None:
    """Half of all rows sell the wrong kind: usual if rows count alike, not if accounts do."""
    rows = planted(4000, seed=6)
    rows = with_other_kind(rows, np.arange(2000))
    account_N = np.concatenate([np.zeros(2000), 1 + np.arange(2000) % 100]).astype(np.int64)
    surprises = {}
    for limit in (1.0, 1e6):
        model, _ = fit_autoencoder(
            rows,
            account_N=account_N,
            inputs=INPUTS,
            config=AutoencoderConfig(
                num_steps=250, hidden_dims=(32,), max_rows_per_account=limit, trim_share=0
            ),
            seed=0,
        )
        surprise = model.measure(rows).surprise_NT[:, KIND]
        surprises[limit] = np.median(surprise[:2000]) - np.median(surprise[2000:])
    assert surprises[1.0] > 1.5
    assert abs(surprises[1e6]) < 0.7


def test_trimming_keeps_a_repeated_fraud_from_becoming_usual() -> None:
    """One row in 20 breaks its rule in the same way: learned from all rows, it is half expected."""
    rows = with_other_kind(planted(3000, seed=11), np.arange(150))
    surprises = []
    for share in (0.0, 0.2):
        config = AutoencoderConfig(num_steps=200, hidden_dims=(32,), trim_share=share)
        surprises.append(fitted_on(rows, config).measure(rows).surprise_NT[:150, KIND])
    assert np.median(surprises[1]) > np.median(surprises[0]) + 1


def test_columns_count_alike() -> None:
    """At the start, an altered cell costs 1 on average, whatever its column."""
    rows = planted(2000, seed=12)
    module = Autoencoder(INPUTS, CONFIG)
    baseline_T = start_at_constants(module, rows, torch.ones(2000), INPUTS.located())
    for column in (SHOP, KIND, HOUR, AMOUNT):
        altered = [torch.arange(0), torch.arange(0), torch.arange(0), torch.arange(0)]
        altered[column] = torch.arange(2000)
        noisy = Noisy(rows, tuple(altered))
        loss_B = reconstruction_loss(module, rows, noisy, INPUTS.located(), baseline_T)
        assert loss_B.mean().item() == pytest.approx(1, abs=1e-3)


@given(
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=12),
    max_rows=st.floats(0.1, 10),
)
def test_accounts_count_for_a_limited_number_of_rows(counts: list[int], max_rows: float) -> None:
    """The weights of an account sum to its rows, or to the multiple of the median if less."""
    account_N = np.repeat(np.arange(len(counts)) * 3, counts)
    weights = account_weights(account_N, max_rows).numpy()
    sums = np.bincount(account_N, weights)[::3]
    limit = max_rows * np.median(counts)
    np.testing.assert_allclose(sums, np.minimum(counts, limit), rtol=1e-5)


@given(losses=st.lists(st.floats(0, 100), min_size=1, max_size=60), share=st.floats(0, 1 - 1e-6))
def test_trimming_takes_the_rows_of_the_highest_loss(losses: list[float], share: float) -> None:
    """Exactly the share is left out, and no row that is kept has a higher loss than one of it."""
    loss_B = torch.tensor(losses)
    kept = trimmed(torch.ones(len(losses)), loss_B, share) > 0
    assert int((~kept).sum()) == int(share * len(losses))
    if kept.any() and not kept.all():
        assert loss_B[kept].max() <= loss_B[~kept].min()


def test_training_starts_from_the_best_constants() -> None:
    """The baseline of a column is its entropy, or the least mean Huber loss of any constant."""
    rows = planted(3000, seed=8)
    rows.categorical[:, SHOP] = NUM_RESERVED + rows.categorical[:, SHOP] % 3
    rows.numeric[:1000] = torch.tensor([0.0, 1.0])
    module = Autoencoder(INPUTS, CONFIG)
    baselines = start_at_constants(module, rows, torch.ones(3000), INPUTS.located())
    for column in (SHOP, KIND, HOUR):
        counts = np.bincount(rows.categorical[:, column])
        assert float(baselines[column]) == pytest.approx(stats.entropy(counts), rel=0.01)
    _, predictions = module(rows)
    torch.testing.assert_close(predictions[KIND], predictions[KIND][:1].expand(3000, -1))
    values = rows.numeric[1000:, 0].double()
    constants = torch.linspace(-2, 2, 81, dtype=torch.float64)
    least = torch.nn.functional.huber_loss(
        constants[:, None].expand(-1, 2000), values.expand(81, -1), reduction="none"
    ).mean(dim=1)
    assert float(baselines[AMOUNT]) * 1.5 == pytest.approx(float(least.min()), rel=0.1)
    assert predictions[AMOUNT][0].item() == pytest.approx(float(values.median()), abs=1e-6)


def test_a_seed_decides_everything() -> None:
    """The same seed gives the same weights, another seed others, and torch's own is untouched."""
    rows = planted(600, seed=9)
    config = AutoencoderConfig(num_steps=10, max_rows=400)
    state = torch.random.get_rng_state()
    first = fitted_on(rows, config).state_dict
    torch.manual_seed(123)
    again = fitted_on(rows, config).state_dict
    torch.random.set_rng_state(state)
    other = fitted_on(rows, config, seed=1).state_dict
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


def test_no_rows_are_refused() -> None:
    """There is nothing to learn from an empty period."""
    with pytest.raises(DataError, match="expected at least one transaction"):
        fitted_on(planted(0, seed=0))


@pytest.mark.parametrize("num_rows", [1, 2, 130])
def test_few_rows_are_enough(num_rows: int) -> None:
    """However short the log, weights are finite."""
    rows = planted(num_rows, seed=10)
    measured = fitted_on(rows, AutoencoderConfig(num_steps=3)).measure(rows)
    assert np.isfinite(measured.surprise_NT).all()


def test_amounts_of_card_frauds_surprise() -> None:
    """In a public log, frauds of later months have amounts that other columns do not expect."""
    if not SPARKOV.exists():
        pytest.skip(f"{SPARKOV} is not there")
    start, cut, end = (
        datetime.datetime(year, month, day, tzinfo=datetime.UTC)
        for year, month, day in [(2019, 10, 1), (2020, 2, 15), (2020, 6, 20)]
    )
    names = ["event_time", "account_id", "category", "gender", "amount", "is_fraud"]
    log = pq.read_table(
        SPARKOV,
        columns=names,
        filters=[("event_time", ">=", start), ("event_time", "<", end)],
    ).sort_by("event_time")
    frame = log.to_pandas()
    columns = pa.table(
        {
            "category": pa.array(frame["category"].astype(object), pa.string()),
            "gender": pa.array(frame["gender"].astype(object), pa.string()),
            "amount": np.log(frame["amount"]).astype(np.float32),
        }
    )
    num_train = int((frame["event_time"] < cut).sum())
    kinds = {"category": "categorical", "gender": "categorical", "amount": "numeric"}
    encoder = TableEncoder.fit(
        columns.slice(0, num_train),
        {name: FeatureConfig(kind=kind) for name, kind in kinds.items()},
    )
    model, _ = fit_autoencoder(
        encoder.encode(columns.slice(0, num_train)),
        account_N=frame["account_id"].astype("category").cat.codes.to_numpy(np.int64)[:num_train],
        inputs=InputColumns.of(encoder, ["category", "amount"]),
        config=AutoencoderConfig(num_steps=150, max_rows=50_000),
        seed=0,
    )
    surprise = model.measure(encoder.encode(columns.slice(num_train))).surprise_NT
    assert roc_auc_score(frame["is_fraud"][num_train:], surprise[:, 1]) > 0.85
