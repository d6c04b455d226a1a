"""The towers: unit vectors, what each input adds, prefixes, and gradients that reach every part."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from recsys.errors import ConfigError
from recsys.features.encoder import EncodedSizes, EncodedTable, Ragged
from recsys.recommender.config import TwoTowerConfig
from recsys.recommender.towers.two_tower import QueryInputs, TwoTower, prefix

NUM_USERS, NUM_ITEMS, DIM = 5, 9, 8
SIZES = EncodedSizes(categorical=(6,), multi_hot=(5,), num_numeric=1, dense=(3,))
CONFIG = TwoTowerConfig(
    embedding_dim=DIM,
    num_heads=1,
    prefix_dims=(2, 4),
    hidden_dims=(7,),
    user_embedding=True,
    dropout=0,
)


def ragged(lists: list[list[int]]) -> Ragged:
    """Lists end to end."""
    return Ragged(
        codes=torch.tensor(list(itertools.chain(*lists)), dtype=torch.int64),
        offsets=torch.from_numpy(np.cumsum([0] + [len(codes) for codes in lists])),
    )


def features(num_rows: int) -> EncodedTable:
    """Features that differ from row to row."""
    rows = torch.arange(num_rows)
    return EncodedTable(
        categorical=(rows % 6)[:, None],
        multi_hot=(ragged([[row % 5, (row + 2) % 5][: row % 3] for row in range(num_rows)]),),
        numeric=torch.stack([rows / 10, rows % 2], dim=1).float(),
        dense=(torch.sin(rows[:, None] + torch.arange(3)),),
    )


def towers(config: TwoTowerConfig = CONFIG, sizes: EncodedSizes | None = SIZES) -> TwoTower:
    """Towers whose feature branches and user vectors have left their silent start."""
    torch.manual_seed(0)
    made = TwoTower(
        num_users=NUM_USERS, num_items=NUM_ITEMS, user_sizes=sizes, item_sizes=sizes, config=config
    )
    for branch in (made.query.features, made.candidate.features):
        if branch is not None:
            torch.nn.init.normal_(branch.mlp.layers[-1].weight)
    if made.query.user is not None:
        torch.nn.init.normal_(made.query.user.weight[1:])
    return made.eval()


def inputs(histories: list[list[int]], rows: list[int] | None = None) -> QueryInputs:
    """Inputs of some users, by default known ones."""
    numbers = torch.arange(len(histories)) + 1 if rows is None else torch.tensor(rows)
    return QueryInputs(
        history=ragged(histories), features=features(len(histories)), user_rows=numbers
    )


@given(
    histories=st.lists(
        st.lists(st.integers(0, NUM_ITEMS - 1), max_size=12), min_size=1, max_size=NUM_USERS
    )
)
def test_all_vectors_have_unit_length(histories: list[list[int]]) -> None:
    """Items, and users of any history, lie on the unit sphere, so that scores are cosines."""
    made = towers()
    item_CD = made.candidate(None, features(NUM_ITEMS))
    query_BD = made.query(inputs(histories), item_CD)
    for vectors, number in ((item_CD, NUM_ITEMS), (query_BD, len(histories))):
        assert vectors.shape == (number, DIM)
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(number))


def test_a_query_is_the_sum_of_its_parts_by_hand() -> None:
    """History over the root of its length, base, features and own vector, at unit length."""
    made = towers()
    torch.nn.init.normal_(made.query.base)
    item_CD = made.candidate(None, features(NUM_ITEMS))
    histories = [[1, 2, 2, 7], [], [4]]
    read = inputs(histories)
    found = made.query(read, item_CD)
    branch, user = made.query.features, made.query.user
    assert branch is not None
    assert user is not None
    for row, history in enumerate(histories):
        bag = item_CD[history].sum(dim=0) / max(len(history), 1) ** 0.5
        whole = bag + made.query.base + branch(read.features)[row] + user.weight[row + 1]
        torch.testing.assert_close(found[row], whole / whole.norm())


def test_the_order_of_a_history_and_the_other_users_do_not_matter() -> None:
    """A user's vector depends on the set of their items alone, not on order or company."""
    made = towers(sizes=None)
    item_CD = made.candidate(None, None)
    histories = [[1, 5, 3], [2], [0, 8]]
    rows = torch.tensor([1, 2, 3])
    together = made.query(QueryInputs(history=ragged(histories), features=None, user_rows=rows),
                          item_CD)  # fmt: skip
    for row, history in enumerate(histories):
        alone = QueryInputs(
            history=ragged([history[::-1]]), features=None, user_rows=rows[row : row + 1]
        )
        torch.testing.assert_close(made.query(alone, item_CD)[0], together[row])


def test_items_of_a_sample_have_the_vectors_of_the_catalogue() -> None:
    """Embedding some items gives the rows that embedding all of them gives."""
    made = towers()
    numbers = torch.tensor([7, 0, 3])
    some = made.candidate(numbers, features(NUM_ITEMS).take(numbers))
    torch.testing.assert_close(some, made.candidate(None, features(NUM_ITEMS))[numbers])


def test_the_row_of_unknown_users_is_zero_and_stays_zero() -> None:
    """However training goes, a user without a row adds nothing, and other users' rows move."""
    made = towers().train()
    optimizer = torch.optim.Adam(made.parameters(), lr=0.1)
    assert made.query.user is not None
    for _ in range(5):
        optimizer.zero_grad()
        item_CD = made.candidate(None, features(NUM_ITEMS))
        query_BD = made.query(inputs([[1], [2], [3]], rows=[0, 0, 1]), item_CD)
        (query_BD @ item_CD.T)[:, 4].sum().backward()
        before = made.query.user.weight.detach().clone()
        optimizer.step()
        assert not made.query.user.weight[0].any()
        assert (made.query.user.weight[1] != before[1]).all()


def test_gradients_reach_every_weight() -> None:
    """From one batch each table, layer and vector of both towers gets a gradient."""
    made = towers().train()
    torch.nn.init.normal_(made.query.base)
    item_CD = made.candidate(None, features(NUM_ITEMS))
    query_BD = made.query(inputs([[0, 1], [2, 3], [4], [5, 6, 7], [8]]), item_CD)
    (query_BD @ item_CD.T).square().sum().backward()
    for name, weight in made.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.any(), name


def test_only_the_rows_of_a_sample_have_a_gradient() -> None:
    """A sampled batch costs what its items cost: the gradient of the item table is sparse."""
    made = towers(sizes=None)
    numbers = torch.tensor([2, 6])
    made.candidate(numbers, None)[:, 0].sum().backward()
    gradient = made.candidate.item.weight.grad
    assert gradient is not None
    assert gradient.is_sparse
    assert gradient.coalesce().indices().tolist() == [[2, 6]]


def test_users_without_history_do_not_stop_the_others_from_learning() -> None:
    """A batch with a user of whom nothing is known leaves later steps on the base their size."""
    torch.manual_seed(0)
    config = TwoTowerConfig(embedding_dim=DIM, prefix_dims=())
    moved = []
    for first_histories in ([[1], [2]], [[1], []]):
        made = TwoTower(
            num_users=2, num_items=NUM_ITEMS, user_sizes=None, item_sizes=None, config=config
        )
        optimizer = torch.optim.Adam([made.query.base], lr=0.01)
        item_CD = made.candidate(None, None).detach()

        def descend(histories: list[list[int]]) -> None:
            optimizer.zero_grad()  # noqa: B023  called within its turn of the loop
            read = QueryInputs(history=ragged(histories), features=None, user_rows=None)
            (made.query(read, item_CD) @ item_CD.T)[:, 4].sum().neg().backward()  # noqa: B023
            optimizer.step()  # noqa: B023

        descend(first_histories)
        for _ in range(30):  # what momentum keeps of the first step fades away
            descend([[1], [2]])
        before = made.query.base.detach().clone()
        for _ in range(10):
            descend([[1], [2]])
        moved.append((made.query.base.detach() - before).norm().item())
    assert moved[1] > 0.3 * moved[0]


def test_features_say_nothing_at_first() -> None:
    """Before training an item is its own vector alone, and a user is their history alone."""
    torch.manual_seed(0)
    with_features = TwoTower(
        num_users=1, num_items=NUM_ITEMS, user_sizes=SIZES, item_sizes=SIZES, config=CONFIG
    )
    item_CD = with_features.candidate(None, features(NUM_ITEMS))
    own_CD = with_features.candidate.item.weight
    torch.testing.assert_close(item_CD, torch.nn.functional.normalize(own_CD, dim=1))
    query_BD = with_features.query(inputs([[3]], rows=[0]), item_CD)
    torch.testing.assert_close(query_BD[0], item_CD[3])


@given(width=st.integers(1, DIM), num_vectors=st.integers(1, 4))
def test_a_prefix_is_the_first_dimensions_at_unit_length(width: int, num_vectors: int) -> None:
    """Cut and brought to unit length again; the whole width comes back as it is."""
    vectors = torch.randn(num_vectors, DIM, generator=torch.Generator().manual_seed(width))
    unit = torch.nn.functional.normalize(vectors, dim=1)
    found = prefix(unit, width)
    torch.testing.assert_close(found, torch.nn.functional.normalize(vectors[:, :width], dim=1))
    assert (found is unit) == (width == DIM)


@pytest.mark.parametrize(
    "settings",
    [
        {"embedding_dim": 0},
        {"embedding_dim": 32, "prefix_dims": (32,)},
        {"prefix_dims": (64, 32)},
        {"prefix_dims": (32, 32)},
        {"prefix_dims": (0, 32)},
        {"temperature": 0.01},
        {"history_dropout": 1.0},
        {"dropout": -0.1},
        {"loss": "bpr"},
        {"num_uniform_negatives": -1},
        {"embeding_dim": 64},
    ],
    ids=repr,
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object]) -> None:
    """Widths that do not ascend, shares outside their range and misspelt names never train."""
    with pytest.raises(ConfigError):
        TwoTowerConfig(**settings)


def test_hidden_layers_of_no_units_are_refused() -> None:
    """A width of 0 is refused when the towers are built, with the sizes."""
    with pytest.raises(ConfigError, match=r"at least 1, got \["):
        towers(TwoTowerConfig(embedding_dim=DIM, prefix_dims=(), hidden_dims=(0,)))


def test_moving_inputs_moves_every_tensor() -> None:
    """On another device there is no tensor left behind."""

    def devices(read: QueryInputs) -> set[str]:
        assert read.features is not None
        assert read.user_rows is not None
        parts: list[Tensor] = [
            read.history.codes,
            read.history.offsets,
            read.features.categorical,
            read.features.numeric,
            *read.features.dense,
            *(part for bags in read.features.multi_hot for part in (bags.codes, bags.offsets)),
            read.user_rows,
        ]
        return {part.device.type for part in parts}

    read = inputs([[1], [2, 3]])
    assert devices(read) == {"cpu"}
    assert devices(read.to(torch.device("meta"))) == {"meta"}


def test_the_last_query_that_trains_a_sequence_is_the_query_of_its_user() -> None:
    """Features and own vectors reach every place of the right user."""
    made = towers(replace(CONFIG, query="sequence"))
    histories = [[1, 2, 3], [], [4]]
    inputs = QueryInputs(
        history=ragged(histories), features=features(3), user_rows=torch.tensor([1, 0, 3])
    )
    items = made.candidate(None, features(NUM_ITEMS))
    trained = made.query.queries_to_train(inputs, items)
    assert len(trained) == sum(len(history) + 1 for history in histories)
    last = torch.tensor([len(history) + 1 for history in histories]).cumsum(0) - 1
    torch.testing.assert_close(trained[last], made.query(inputs, items))
