"""The index against exact search: recall, calibration, storage and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from list_oracle import FINGERPRINT, brute_force, clustered

from recsys.artifacts import write_bundle
from recsys.config import config_to_dict
from recsys.errors import ArtifactError, ConfigError, FingerprintMismatchError
from recsys.recommender.index import BUNDLE_KIND, IndexConfig, IndexKind, ItemIndex
from recsys.recommender.index.calibration import climb, recall_of_last_ranks
from recsys.recommender.index.store import VectorStore
from recsys.recommender.ranking.topk import masked_top_k, unit_vectors

KINDS = ["exact", "ivf", "hnsw"]
ITEMS, QUERIES = clustered(4000, 200, 16, seed=0)


def build(
    items: np.ndarray = ITEMS, queries: np.ndarray = QUERIES, *, seed: int = 0, **settings: object
) -> ItemIndex:
    """An index with the given settings and the defaults of the tests."""
    return ItemIndex.build(
        items,
        config=IndexConfig(**{"recall_k": 10, "hnsw_m": 8, "hnsw_ef_construction": 40} | settings),
        model_fingerprint=FINGERPRINT,
        sample_queries_BD=queries,
        seed=seed,
    )


@pytest.fixture(scope="module", params=KINDS)
def index(request: pytest.FixtureRequest) -> ItemIndex:
    """An index of each kind over the same vectors."""
    return build(kind=request.param)


def test_recall_on_new_queries(index: ItemIndex) -> None:
    """Queries that did not choose the effort are answered with the recall that is promised."""
    _, queries = clustered(1, 200, 16, seed=0)
    queries = unit_vectors(queries + 0.01)

    found, scores = index.search(queries, 10)

    expected, _ = masked_top_k(queries, ITEMS, 10)
    hits = [len(np.intersect1d(*rows)) for rows in zip(found, expected, strict=True)]
    assert index.report.kind == index.config.kind
    assert index.report.recall >= 0.95
    assert np.mean(hits) / 10 >= 0.95
    np.testing.assert_allclose(
        scores, np.einsum("bd,bkd->bk", queries, ITEMS[found]), rtol=1e-4, atol=1e-6
    )
    assert (np.diff(scores) <= 0).all()


def test_report_holds_the_curve(index: ItemIndex) -> None:
    """The report has the chosen effort, the others measured, and reads as JSON does."""
    report = index.report

    assert report.operating_points[0].effort == 0
    assert set(report.chosen) <= set(report.operating_points)
    assert [point.list_length for point in report.chosen] == list(index.list_lengths)
    assert bool(report.chosen) == (report.kind != "exact")
    assert all(point.recall_low >= 0.95 for point in report.chosen)
    assert report.size_bytes == len(index.store.to_bytes())
    assert report.to_dict()["num_items"] == 4000


def test_long_lists_are_exact(index: ItemIndex) -> None:
    """A list longer than any that was calibrated is searched exactly."""
    found, _ = index.search(QUERIES[:20], 200)

    assert max(index.list_lengths, default=0) < 200
    np.testing.assert_array_equal(found, masked_top_k(QUERIES[:20], ITEMS, 200)[0])


def test_vectors_come_back(index: ItemIndex) -> None:
    """The vectors of an index are those it was built from, in their order."""
    np.testing.assert_array_equal(index.vectors(), ITEMS)


def test_save_and_load(index: ItemIndex, tmp_path: Path) -> None:
    """A saved index answers as before and keeps its report."""
    index.save(tmp_path / "index")
    loaded = ItemIndex.load(tmp_path / "index", model_fingerprint=FINGERPRINT)

    for before, after in zip(index.search(QUERIES, 10), loaded.search(QUERIES, 10), strict=True):
        np.testing.assert_array_equal(before, after)
    assert (loaded.report, loaded.config) == (index.report, index.config)
    np.testing.assert_array_equal(loaded.vectors(), ITEMS)


def test_another_model_is_refused(index: ItemIndex, tmp_path: Path) -> None:
    """An index does not load for a model that it was not built from."""
    index.save(tmp_path / "index")

    with pytest.raises(FingerprintMismatchError):
        ItemIndex.load(tmp_path / "index", model_fingerprint="1" * 64)


def test_damaged_file_is_refused(index: ItemIndex, tmp_path: Path) -> None:
    """One changed byte is noticed before faiss reads it."""
    index.save(tmp_path / "index")
    blob = tmp_path / "index" / "blobs" / "index.bin"
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)

    with pytest.raises(ArtifactError, match="other bytes"):
        ItemIndex.load(tmp_path / "index", model_fingerprint=FINGERPRINT)


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (faiss.serialize_index(faiss.IndexFlatL2(16)), "of inner products"),
        (VectorStore(kind="exact", faiss_index=faiss.IndexFlatIP(16)).to_bytes(), r"\(0, 16\)"),
        (faiss.serialize_index(faiss.IndexHNSWFlat(16, 4)), "got IndexHNSWFlat"),
        (b"", "expected a faiss index"),
    ],
)
def test_content_must_fit_the_report(blob: bytes, message: str, tmp_path: Path) -> None:
    """A bundle whose digests fit is still refused when it holds another index."""
    index = build(kind="exact")
    write_bundle(
        tmp_path / "index",
        kind=BUNDLE_KIND,
        config=config_to_dict(index.config),
        documents={"report": index.report.to_dict()},
        blobs={"index": bytes(blob)},
        parents={"model": FINGERPRINT},
    )

    with pytest.raises(ArtifactError, match=message):
        ItemIndex.load(tmp_path / "index", model_fingerprint=FINGERPRINT)


@given(kind=st.sampled_from(["exact", "ivf", "hnsw"]), share=st.floats(0, 0.99))
def test_cut_bytes_are_refused(kind: IndexKind, share: float) -> None:
    """Bytes that end early are an error, and the limits of faiss stay as they were."""
    items, _ = clustered(100, 1, 4, seed=1)
    data = bytes(VectorStore.build(kind, items, config=IndexConfig(), seed=0).to_bytes())
    limit = faiss.get_deserialization_vector_byte_limit()

    with pytest.raises(ArtifactError):
        VectorStore.from_bytes(kind, data[: int(share * len(data))])

    assert faiss.get_deserialization_vector_byte_limit() == limit


def test_absurd_length_is_refused() -> None:
    """A length field beyond the file is refused before memory is asked for."""
    items, _ = clustered(100, 1, 4, seed=1)
    data = bytearray(VectorStore.build("exact", items, config=IndexConfig(), seed=0).to_bytes())
    place = data.rindex((400).to_bytes(8, "little"))  # the number of floats that follow
    data[place : place + 8] = (1 << 36).to_bytes(8, "little")

    with pytest.raises(ArtifactError, match="byte_limit"):
        VectorStore.from_bytes("exact", bytes(data))


def test_auto_follows_the_size() -> None:
    """Exact search up to the configured catalogue size, IVF beyond."""
    assert build(exact_max_items=4000).report.kind == "exact"
    assert build(exact_max_items=3999).report.kind == "ivf"


def test_unreached_recall_falls_back_to_exact() -> None:
    """On vectors without structure IVF misses the recall: the index is exact and says why."""
    items, queries = np.random.default_rng(0).standard_normal((2, 2000, 48)).astype(np.float32)

    index = build(items, queries, kind="ivf", num_recall_queries=100)

    assert index.report.kind == "exact"
    assert index.report.recall == 1.0
    assert "all lists are searched exactly" in index.report.notes[0]
    assert index.report.operating_points[-1].recall < 0.95
    np.testing.assert_array_equal(
        index.search(queries[:50], 10)[0], masked_top_k(queries[:50], items, 10)[0]
    )


def test_same_seed_same_index() -> None:
    """IVF is built from its vectors and its seed alone."""
    first, second, other = (
        bytes(build(kind="ivf", seed=seed).store.to_bytes()) for seed in (7, 7, 8)
    )

    assert first == second
    assert first != other


def test_hnsw_keeps_as_many_candidates_as_it_returns() -> None:
    """No effort is tried that is smaller than the list: faiss would fill it with chance items."""
    store = VectorStore.build("hnsw", ITEMS[:50], config=IndexConfig(), seed=0)

    assert min(store.efforts(5)) == 16
    assert min(store.efforts(320)) == 384


def test_padding_of_an_approximate_search() -> None:
    """Where the lists that are searched hold too few items, the rest is -1 and minus infinity."""
    store = VectorStore.build("ivf", ITEMS, config=IndexConfig(ivf_lists=100), seed=0)

    found, scores = store.search(QUERIES[:5], 500, effort=1)

    assert (found == -1).any(axis=1).all()
    np.testing.assert_array_equal(found == -1, np.isneginf(scores))


@pytest.mark.parametrize("kind", KINDS)
def test_prefix_of_unit_vectors(kind: str) -> None:
    """Cut unit vectors are unit vectors again: scores are the cosines of the prefixes."""
    index = build(kind=kind, prefix_dim=12)
    prefixes, cut_queries = unit_vectors(ITEMS[:, :12]), unit_vectors(QUERIES[:, :12])

    found, scores = index.search(QUERIES, 5)

    assert (index.report.dim, index.report.embedding_dim, index.report.unit_norm) == (12, 16, True)
    np.testing.assert_array_equal(index.vectors(), prefixes)
    np.testing.assert_allclose(
        scores, np.einsum("bd,bkd->bk", cut_queries, prefixes[found]), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_array_equal(index.search(cut_queries, 5)[0], found)


def test_prefix_of_other_vectors() -> None:
    """Vectors of any length are cut and no more, and the caller's arrays stay as they were."""
    items, query = 3 * ITEMS[:50], 2 * QUERIES[:1]
    before = query.copy()

    found, scores = build(items, QUERIES, prefix_dim=3).search(query, 50)

    expected = brute_force(query[:, :3], items[:, :3], 50, np.ones((1, 50), dtype=bool))
    np.testing.assert_array_equal(found, expected[0])
    np.testing.assert_allclose(scores, expected[1], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(query, before)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"items": np.empty((0, 16), np.float32)}, ArtifactError, "expected item vectors"),
        ({"items": np.full((5, 16), np.nan, np.float32)}, ArtifactError, "finite item vectors"),
        ({"queries": QUERIES[:, :3]}, ArtifactError, "queries of width 16"),
        ({"queries": QUERIES[:0], "kind": "hnsw"}, ArtifactError, "sample queries to measure"),
        ({"prefix_dim": 17}, ConfigError, "at most the 16 dimensions"),
        ({"kind": "ivf", "ivf_lists": 4001}, ConfigError, "at most the 4000 items"),
    ],
)
def test_refusals(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    """What cannot be indexed is refused in a sentence."""
    with pytest.raises(error, match=message):
        build(**arguments)


def test_queries_of_another_width_are_refused(index: ItemIndex) -> None:
    """A query of another model's width is not searched."""
    with pytest.raises(ArtifactError, match="queries of width 16"):
        index.search(QUERIES[:, :8], 5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_items", [1, 3, 30])
def test_tiny_catalogues(kind: str, num_items: int) -> None:
    """A catalogue smaller than the list gives all its items, then padding."""
    index = build(ITEMS[:num_items], kind=kind)

    found, scores = index.search(QUERIES[:4], 40)

    assert np.sort(found[:, :num_items]).tolist() == [list(range(num_items))] * 4
    assert (found[:, num_items:] == -1).all()
    assert np.isneginf(scores[:, num_items:]).all()


def test_climb_takes_the_least_effort_that_is_sure() -> None:
    """The chosen effort is the first whose recall less two standard errors reaches the target."""
    exact = np.tile(np.arange(40, 0, -1, dtype=np.float32), (100, 1))
    asked = []

    def search(length: int, effort: int) -> np.ndarray:
        """Find the first `effort` items, and one more for every second query."""
        asked.append((length, effort))
        found = effort + (np.arange(100) % 2)
        return np.where(np.arange(length) < found[:, None], exact[:, :length], -np.inf)

    points, chosen = climb(
        search,
        exact,
        recall_k=10,
        ladders={10: [8, 9, 10], 40: [5, 37, 39, 40]},
        min_recall=0.85,
    )

    # With effort 8 recall is 0.85 on average, but 0.84 after two standard errors.
    assert asked == [(10, 8), (10, 9), (10, 10), (40, 37), (40, 39)]
    assert [(point.list_length, point.effort) for point in chosen] == [(10, 9), (40, 39)]
    assert points[0].recall == pytest.approx(0.85)
    assert points[0].recall_low == pytest.approx(0.84)
    assert points[3].recall == pytest.approx(0.75)


def test_climb_leaves_out_lengths_that_it_does_not_reach() -> None:
    """After a list length that misses the recall no longer one is tried."""
    exact = np.arange(40, 0, -1, dtype=np.float32)[None]

    def search(length: int, _: int) -> np.ndarray:
        return np.where(np.arange(length) < 10, exact[:, :length], -np.inf)

    points, chosen = climb(
        search, exact, recall_k=10, ladders={10: [1], 20: [1, 2], 40: [1]}, min_recall=0.5
    )

    assert [point.list_length for point in chosen] == [10]
    assert [point.list_length for point in points] == [10, 20, 20]


def test_recall_of_last_ranks_by_hand() -> None:
    """Only the last ranks count, by score, and equal scores are interchangeable."""
    exact = np.array([[9, 8, 7, 6], [5, 5, 5, 5], [9, 8, 7, 6]], dtype=np.float32)
    found = np.array([[9, 7, 6, -np.inf], [5, 5, 5, 5], [8, 6.00001, 1, 0]], dtype=np.float32)

    assert recall_of_last_ranks(found, exact, 4).tolist() == [0.75, 1, 0.5]
    assert recall_of_last_ranks(found, exact, 2).tolist() == [1, 1, 0.5]
