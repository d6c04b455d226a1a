"""The autoencoder as a measure: against its plain form, row by row, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from recsys.datasets.dataset import FeatureConfig
from recsys.errors import ConfigError
from recsys.features.encoder import MISSING, NUM_RESERVED, UNSEEN, EncodedTable, TableEncoder
from recsys.fraud.config import AutoencoderConfig
from recsys.fraud.embedding.autoencoder import (
    BLOCK_ROWS,
    Autoencoder,
    FittedAutoencoder,
    InputColumns,
    Measured,
    last_layer,
)
from recsys.fraud.embedding.code_surprise import code_surprise

INPUTS = InputColumns(
    categorical={"shop": 700, "kind": 9, "town": 40},
    numeric=("amount", "age"),
    targets=("amount", "shop", "kind"),
)
CONFIG = AutoencoderConfig()
SHOP = INPUTS.targets.index("shop")


def autoencoder(
    inputs: InputColumns = INPUTS, config: AutoencoderConfig = CONFIG, seed: int = 0
) -> FittedAutoencoder:
    """A network with random weights everywhere, those that start at zero included."""
    generator = torch.Generator().manual_seed(seed)
    module = Autoencoder(inputs, config)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) / math.sqrt(16))
    return FittedAutoencoder(config=config, inputs=inputs, module=module.eval())


def random_rows(inputs: InputColumns, num_rows: int, seed: int = 0) -> EncodedTable:
    """Rows with every code, reserved ones among them, and some nulls."""
    rng = np.random.default_rng(seed)
    codes = [rng.integers(0, size, num_rows) for size in inputs.categorical.values()]
    null = rng.random((num_rows, len(inputs.numeric))) < 0.2
    values = np.where(null, 0, rng.normal(size=null.shape) * 2)
    return EncodedTable(
        categorical=torch.from_numpy(np.array(codes, dtype=np.int64).T.copy()),
        multi_hot=(),
        numeric=torch.from_numpy(np.hstack([values, null]).astype(np.float32)),
        dense=(),
    )


def plain_surprise(fitted: FittedAutoencoder, table: EncodedTable, name: str) -> torch.Tensor:
    """Surprise of one target by the forward pass over rows that lack it."""
    categorical, numeric = table.categorical.clone(), table.numeric.clone()
    column, num_numeric = fitted.columns.index(name), len(fitted.inputs.numeric)
    if name in fitted.inputs.numeric:
        place = fitted.inputs.numeric.index(name)
        numeric[:, place], numeric[:, num_numeric + place] = 0, 1
    else:
        place = list(fitted.inputs.categorical).index(name)
        categorical[:, place] = MISSING
    hidden = EncodedTable(categorical=categorical, multi_hot=(), numeric=numeric, dense=())
    prediction = fitted.module(hidden)[1][column].detach().double()
    if name in fitted.inputs.numeric:
        truth, null = table.numeric[:, place], table.numeric[:, num_numeric + place]
        loss = functional.smooth_l1_loss(prediction[:, 0], truth.double(), reduction="none")
        return torch.where(null == 1, 0, loss)
    losses = -prediction.log_softmax(dim=1)
    codes = table.categorical[:, place]
    own = losses[torch.arange(len(codes)), codes]
    return torch.where(codes == UNSEEN, losses[:, UNSEEN:].amax(dim=1), own)


@given(
    num_codes=st.lists(st.integers(3, 30), max_size=3),
    num_numeric=st.integers(0, 2),
    num_rows=st.sampled_from([1, 2, 57, BLOCK_ROWS, BLOCK_ROWS + 1]),
    hidden_dims=st.sampled_from([(8,), (8, 5)]),
    data=st.data(),
)
@settings(max_examples=20)
def test_measuring_equals_the_plain_forward_pass(
    num_codes: list[int],
    num_numeric: int,
    num_rows: int,
    hidden_dims: tuple[int, ...],
    data: st.DataObject,
) -> None:
    """Columns joined into one table, blocks and padding change neither embedding nor surprise."""
    terms = {f"term {number}": size for number, size in enumerate([*num_codes, 5])}
    numeric = tuple(f"number {number}" for number in range(num_numeric))
    names = st.lists(st.sampled_from([*terms, *numeric]), min_size=1, unique=True)
    inputs = InputColumns(categorical=terms, numeric=numeric, targets=tuple(data.draw(names)))
    fitted = autoencoder(inputs, AutoencoderConfig(hidden_dims=hidden_dims, embedding_dim=6))
    rows = random_rows(inputs, num_rows)
    measured = fitted.measure(rows)
    embedding = fitted.module(rows)[0].detach().numpy()
    np.testing.assert_allclose(measured.embedding_ND, embedding, rtol=1e-3, atol=1e-4)
    for column, name in enumerate(fitted.columns):
        expected = plain_surprise(fitted, rows, name).numpy()
        np.testing.assert_allclose(
            measured.surprise_NT[:, column], expected, rtol=1e-3, atol=1e-4, err_msg=name
        )


@pytest.fixture(scope="module")
def log() -> tuple[FittedAutoencoder, EncodedTable, Measured]:
    """A network with a large head, rows that fill some blocks and a part of one, their measures."""
    fitted, rows = autoencoder(), random_rows(INPUTS, 2 * BLOCK_ROWS + 321)
    return fitted, rows, fitted.measure(rows)


@given(seed=st.integers(0, 1000), share=st.sampled_from([0.001, 0.3, 1.0]))
@settings(max_examples=10)
def test_a_row_is_measured_alike_in_any_company(
    log: tuple[FittedAutoencoder, EncodedTable, Measured], seed: int, share: float
) -> None:
    """Any part of the rows in any order gives each row the same result to the last bit."""
    fitted, rows, measured = log
    order = np.random.default_rng(seed).permutation(len(rows))[: math.ceil(share * len(rows))]
    again = fitted.measure(rows.take(torch.from_numpy(order)))
    assert again.embedding_ND.tobytes() == measured.embedding_ND[order].tobytes()
    assert again.surprise_NT.tobytes() == measured.surprise_NT[order].tobytes()


def test_measures_have_a_shape_a_type_and_a_range(
    log: tuple[FittedAutoencoder, EncodedTable, Measured],
) -> None:
    """A column a target and a dimension, float32, finite, and no surprise below 0."""
    fitted, rows, measured = log
    assert measured.embedding_ND.shape == (len(rows), fitted.config.embedding_dim)
    assert measured.surprise_NT.shape == (len(rows), len(fitted.columns))
    for array in (measured.embedding_ND, measured.surprise_NT):
        assert array.dtype == np.float32
        assert np.isfinite(array).all()
    assert measured.surprise_NT.min() >= 0


def test_no_rows_give_empty_measures() -> None:
    """An empty table is no special case for callers."""
    measured = autoencoder().measure(random_rows(INPUTS, 0))
    assert measured.embedding_ND.shape == (0, 16)
    assert measured.surprise_NT.shape == (0, 3)


def test_embeddings_lie_on_one_sphere(
    log: tuple[FittedAutoencoder, EncodedTable, Measured],
) -> None:
    """All have the same length, so that distances between them compare."""
    lengths = np.linalg.norm(log[2].embedding_ND, axis=1)
    np.testing.assert_allclose(lengths, math.sqrt(16), rtol=1e-3)


@given(seed=st.integers(0, 100))
@settings(max_examples=5)
def test_an_unseen_term_is_as_surprising_as_the_least_likely_known_one(seed: int) -> None:
    """Whatever the weights, no known term in its place would be more surprising."""
    fitted, row = autoencoder(seed=seed), random_rows(INPUTS, 1, seed)
    num_codes = INPUTS.categorical["shop"]
    rows = row.take(torch.zeros(num_codes, dtype=torch.int64))
    rows.categorical[:, 0] = torch.arange(num_codes)
    surprise = fitted.measure(rows).surprise_NT[:, SHOP]
    assert surprise[UNSEEN] >= surprise[NUM_RESERVED:].max()
    assert len(set(surprise[NUM_RESERVED:])) > 100


def test_the_encoder_does_not_see_what_it_is_asked_for() -> None:
    """The probabilities of all terms in one place sum to 1: they are of one distribution."""
    fitted = autoencoder()
    kind = INPUTS.targets.index("kind")
    with torch.no_grad():  # of this code the surprise is not its own: let it have no share
        last_layer(fitted.module.heads[kind]).bias[UNSEEN] = -100
    rows = random_rows(INPUTS, 1).take(torch.zeros(9, dtype=torch.int64))
    rows.categorical[:, 1] = torch.arange(9)
    surprise = fitted.measure(rows).surprise_NT.astype(np.float64)
    assert np.exp(-np.delete(surprise[:, kind], UNSEEN)).sum() == pytest.approx(1, abs=1e-5)
    assert len(set(surprise[:, SHOP])) > 5


def test_a_null_number_is_no_surprise() -> None:
    """There is no deviation where there is no value."""
    rows = random_rows(INPUTS, 500)
    surprise = autoencoder().measure(rows).surprise_NT[:, 0]
    null = rows.numeric[:, len(INPUTS.numeric)].numpy() == 1
    assert not surprise[null].any()
    assert surprise[~null].all()


def test_restored_weights_measure_alike(
    log: tuple[FittedAutoencoder, EncodedTable, Measured],
) -> None:
    """Config, columns and weights are all there is, and restoring draws no random number."""
    fitted, rows, measured = log
    state = torch.random.get_rng_state()
    again = FittedAutoencoder.restore(fitted.config, fitted.inputs, fitted.state_dict)
    assert torch.equal(state, torch.random.get_rng_state())
    assert again.measure(rows).surprise_NT.tobytes() == measured.surprise_NT.tobytes()


def test_columns_come_from_an_encoder() -> None:
    """Names, sizes and order are those that the encoder gives its tables."""
    table = pa.table({"age": pa.array([1.0, 2.0], pa.float32()), "shop": ["a", "b"]})
    features = {"age": FeatureConfig(kind="numeric"), "shop": FeatureConfig(kind="categorical")}
    encoder = TableEncoder.fit(table, features)
    inputs = InputColumns.of(encoder, ["age"])
    assert inputs == InputColumns(categorical={"shop": 4}, numeric=("age",), targets=("age",))
    assert inputs.sizes == encoder.sizes


def test_columns_of_other_kinds_are_refused() -> None:
    """A list column has no place in the network."""
    table = pa.table({"tags": pa.array([["a"], ["b"]])})
    encoder = TableEncoder.fit(table, {"tags": FeatureConfig(kind="multi_hot")})
    with pytest.raises(ConfigError, match="expected categorical and numeric columns, got tags"):
        InputColumns.of(encoder, ["tags"])


@pytest.mark.parametrize("targets", [(), ("shop", "shop"), ("shop", "hour")])
def test_targets_are_different_columns(targets: tuple[str, ...]) -> None:
    """None, one twice, or one that is not encoded is an error of the settings."""
    with pytest.raises(ConfigError, match="expected different targets among shop, amount, got"):
        InputColumns(categorical={"shop": 9}, numeric=("amount",), targets=targets)


def test_noise_leaves_some_cells_alone() -> None:
    """Rates that would alter every cell are refused."""
    with pytest.raises(ConfigError, match="expected mask_rate and swap_rate to sum to less than 1"):
        AutoencoderConfig(mask_rate=0.5, swap_rate=0.5)


@given(num_codes=st.sampled_from([3, 16, 57, 700]), seed=st.integers(0, 1000))
@settings(max_examples=20)
def test_surprise_in_tiles_equals_that_of_the_softmax(num_codes: int, seed: int) -> None:
    """Logits of any size, in tiles of any number of rows, for all codes and for `UNSEEN`."""
    generator = torch.Generator().manual_seed(seed)
    num_rows = int(torch.randint(1, 700, (1,), generator=generator))
    last = nn.Linear(5, num_codes)
    hidden_BH = torch.randn(num_rows, 5, generator=generator) * 10 ** (seed % 3 - 1)
    codes_B = torch.randint(0, num_codes, (num_rows,), generator=generator)
    with torch.inference_mode():
        found_B = code_surprise(hidden_BH, last, codes_B).double()
        losses_BV = -last(hidden_BH).double().log_softmax(1)
    own_B = losses_BV.gather(1, codes_B[:, None])[:, 0]
    expected_B = torch.where(codes_B == UNSEEN, losses_BV[:, UNSEEN:].amax(1), own_B)
    torch.testing.assert_close(found_B, expected_B, rtol=1e-5, atol=1e-5)
