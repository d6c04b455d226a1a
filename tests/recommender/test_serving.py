"""Model and index together: from ids to lists, against brute force."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from small_models import fitted

from recsys.errors import ArtifactError, DataError, FingerprintMismatchError
from recsys.recommender.config import IndexConfig
from recsys.recommender.lists.filters import Filters
from recsys.recommender.lists.list_files import lists_table
from recsys.recommender.model import RecommenderModel
from recsys.recommender.model_bundle import save_model
from recsys.recommender.serving import (
    Recommender,
    build_index,
    load_recommender,
    similarity_index,
)
from recsys.schema import recommendations_schema

K = 7
PRINT = "ab" * 32


def recommender(model: RecommenderModel, **settings: object) -> Recommender:
    """The model behind an index."""
    config = IndexConfig(**settings)
    return Recommender(
        model=model, index=build_index(model, config, model_fingerprint=PRINT, seed=0)
    )


def without_popularity(model: RecommenderModel) -> RecommenderModel:
    """The model that ranks by cosine alone."""
    return replace(model, selection=replace(model.selection, popularity_weight=0.0))


def by_brute_force(
    model: RecommenderModel, user_ids: pa.Array, width: int | None = None
) -> tuple[list[list[object]], np.ndarray]:
    """Best unseen items of each user and their scores, by one dense product and a full sort."""
    queries, sources = model.embed_users(user_ids, width=width)
    scores = queries @ model.item_vectors(width).T
    popular = np.asarray(sources) == "popularity"
    scores[popular] = model.log_popularity
    numbers = model.users.numbers(user_ids)
    for row, number in enumerate(numbers):
        if number >= 0:
            scores[row, model.histories[[number]].indices] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :K]
    ids = [model.items.lookup(row).to_pylist() for row in order]
    return ids, np.take_along_axis(scores, order, axis=1)


@pytest.mark.parametrize("settings", [{}, {"prefix_dim": 8}, {"kind": "hnsw", "min_recall": 0.5}])
@pytest.mark.parametrize("weighted", [True, False], ids=["popularity", "cosine"])
def test_lists_are_those_of_a_dense_product(settings: dict[str, object], *, weighted: bool) -> None:
    """Any index and width gives each user the best unseen items; new users get popular ones."""
    model = fitted("string", user_embedding=True).model
    model = model if weighted else without_popularity(model)
    some = pa.array(["0", *model.users.terms.to_pylist()[:40:3], "?"])
    served = recommender(model, **settings)
    table = served.recommend_table(some, K)
    ids, scores = by_brute_force(model, some, settings.get("prefix_dim"))

    assert table.schema.equals(recommendations_schema(pa.string(), pa.string()))
    assert table["user_id"].to_pylist() == [user for user in some.to_pylist() for _ in range(K)]
    assert table["rank"].to_pylist() == list(range(1, K + 1)) * len(some)
    assert table["item_id"].to_pylist() == [item for row in ids for item in row]
    assert np.asarray(table["score"]) == pytest.approx(scores.ravel(), abs=1e-5)
    assert table["source"].to_pylist()[::K] == ["popularity", *["history"] * 14, "popularity"]


def test_new_histories_count() -> None:
    """A user whom training did not know gets, with the history of a known one, that one's list."""
    model = fitted("int64", features=False).model
    served = recommender(model)
    known, new = model.users.terms[:5], pa.array([-1, -2, -3, -4, -5])
    histories = model.histories[:5]
    filters = Filters(num_items=len(model.items), seen=histories)
    lists = served.recommend(new, k=K, filters=filters, histories=histories)
    table = lists_table(lists, user_id_type=pa.int64(), item_ids=model.items)
    expected = served.recommend_table(known, K)
    assert table["item_id"].equals(expected["item_id"])
    assert set(table["source"].to_pylist()) == {"history"}


def test_features_alone_make_a_list() -> None:
    """Users with nothing but a row of features get lists of their own, by their features."""
    case = fitted("int64", features=True)
    model, users = case.model, case.dataset.users
    new = pa.array(np.arange(-1, -21, -1))
    rows = users[:20].set_column(0, "user_id", new)
    served = recommender(model)
    filters = Filters(num_items=len(model.items))
    lists = list(served.recommend(new, k=K, filters=filters, user_table=rows))
    assert set(lists[0].sources.to_pylist()) == {"features"}
    assert len({tuple(row) for row in lists[0].items.tolist()}) > 3


def test_the_width_is_that_of_the_towers() -> None:
    """The coordinate of popularity is no dimension of the towers."""
    model = fitted("int64").model
    assert recommender(model).width == 16
    assert recommender(model, prefix_dim=8).width == 8
    assert recommender(without_popularity(model), prefix_dim=8).width == 8
    assert recommender(model).index.report.embedding_dim == 17


def test_ids_that_cannot_be_users_are_refused() -> None:
    """Null ids and ids of another type are told, not dropped."""
    served = recommender(fitted("int64", features=False).model)
    with pytest.raises(DataError, match="expected an id in every row, got 1 nulls"):
        served.recommend_table(pa.array([1, None]), K)
    with pytest.raises(DataError, match="int64"):
        served.recommend_table(pa.array(["1"]), K)


def test_no_users_have_no_lists() -> None:
    """An empty question has an empty answer of the same columns."""
    table = recommender(fitted("int64").model).recommend_table(pa.array([], pa.int64()), K)
    assert table.num_rows == 0
    assert table.schema.equals(recommendations_schema(pa.int64(), pa.int64()))


@pytest.mark.parametrize("case", ["popularity", "propagation", "cosine"])
def test_similar_items_are_searched_by_cosine(case: str) -> None:
    """Neighbours come from the unit vectors, whatever is added to them for lists."""
    model = fitted("int64").model
    plain = {"popularity": model, "propagation": without_popularity(model)}
    served = recommender(plain.get(case, replace(without_popularity(model), item_propagated=None)))
    index = similarity_index(served, IndexConfig(), seed=0)
    assert index.report.unit_norm
    assert index.report.dim == 16
    assert (index is served.index) == (case == "cosine")
    items, scores = index.search_exact(model.item_embeddings, 3)
    cosines = model.item_embeddings @ model.item_embeddings.T
    np.testing.assert_array_equal(items[:, 0], np.arange(len(model.items)))
    np.testing.assert_allclose(scores, -np.sort(-cosines, axis=1)[:, :3], atol=1e-6)


@pytest.mark.parametrize("prefix_dim", [None, 8])
def test_what_was_saved_serves_the_same_lists(tmp_path: Path, prefix_dim: int | None) -> None:
    """A model and its index, saved and opened, answer as before; without an index exactly."""
    model = fitted("string").model
    bundle = save_model(model, tmp_path / "model", data_digests={})
    index = build_index(
        model, IndexConfig(prefix_dim=prefix_dim), model_fingerprint=bundle.fingerprint, seed=0
    )
    index.save(tmp_path / "index")
    users = pa.concat_arrays([model.users.terms, pa.array(["nobody"])])

    opened = load_recommender(tmp_path / "model", tmp_path / "index").recommend_table(users, K)
    bare = load_recommender(tmp_path / "model", None).recommend_table(users, K)

    assert opened.equals(Recommender(model=model, index=index).recommend_table(users, K))
    if prefix_dim is None:
        assert bare.equals(opened)


def test_the_index_of_another_model_is_refused(tmp_path: Path) -> None:
    """An index opens with the model that it was built from and with no other."""
    save_model(fitted("int64").model, tmp_path / "model", data_digests={})
    recommender(fitted("int64").model).index.save(tmp_path / "index")
    with pytest.raises(FingerprintMismatchError):
        load_recommender(tmp_path / "model", tmp_path / "index")
    with pytest.raises(ArtifactError):
        load_recommender(tmp_path / "model", tmp_path / "none")
