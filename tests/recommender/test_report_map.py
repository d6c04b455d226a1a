"""The map of item vectors: neighbourhoods, degenerate vectors, labels that can be read."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.text import Annotation

from recsys.errors import DataError
from recsys.recommender.report import MAP_ITEMS, ItemMap, item_map, map_catalogue
from recsys.recommender.report.map_figure import map_figure
from recsys.reporting.drawing import house_style


def clusters(num_clusters: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors around a few directions, and the number of each one's direction."""
    rng = np.random.default_rng(0)
    members = np.repeat(np.arange(num_clusters), size)
    centres = 4 * rng.normal(size=(num_clusters, 16))
    return (centres[members] + rng.normal(size=(len(members), 16))).astype(np.float32), members


def test_similar_vectors_lie_close_together() -> None:
    """The nearest place belongs to the cluster that the vectors were drawn from."""
    vectors_CD, members_C = clusters(6, 25)
    places_C2 = item_map(vectors_CD, seed=1)
    distances_CC = np.linalg.norm(places_C2[:, None] - places_C2[None], axis=2)
    np.fill_diagonal(distances_CC, np.inf)
    assert np.mean(members_C[distances_CC.argmin(axis=1)] == members_C) > 0.98


def test_the_map_depends_on_vectors_and_seed_alone() -> None:
    """The same seed gives the same map, whatever numpy's global generator did before."""
    vectors_CD, _ = clusters(3, 10)
    first = item_map(vectors_CD, seed=1)
    np.random.rand()
    assert np.array_equal(first, item_map(vectors_CD, seed=1))
    assert not np.array_equal(first, item_map(vectors_CD, seed=2))
    assert first.shape == (30, 2)


@pytest.mark.parametrize(
    "vectors_CD",
    [
        np.zeros((0, 4)),
        np.ones((1, 4)),
        np.eye(2),
        np.ones((40, 4)),
        np.arange(40.0)[:, None],
        np.random.default_rng(0).normal(size=(5, 8)),
        np.random.default_rng(0).normal(size=(40, 8)) * 1e-12,
    ],
    ids=["none", "one", "two", "all equal", "one dimension", "few", "tiny"],
)
def test_any_finite_vectors_have_a_map(vectors_CD: np.ndarray) -> None:
    """Places are finite and within the unit square; vectors that differ fill a side of it."""
    places_C2 = item_map(vectors_CD, seed=0)
    assert places_C2.shape == (len(vectors_CD), 2)
    assert ((places_C2 >= 0) & (places_C2 <= 1)).all()
    if len(np.unique(vectors_CD, axis=0)) > 1:
        assert np.ptp(places_C2, axis=0).max() == pytest.approx(1)


def test_vectors_that_are_not_finite_are_refused() -> None:
    """NaN would spread over the whole map."""
    with pytest.raises(DataError, match="finite vectors"):
        item_map(np.array([[0.0, np.nan]]), seed=0)


def test_a_catalogue_is_mapped_by_its_best_known_items() -> None:
    """The most popular items are laid out, and all else is taken from their rows."""
    vectors_CD = np.random.default_rng(0).normal(size=(6, 3))
    genres = pa.array([["a", "b"], ["c"], [], None, ["d"], ["e"]])
    titles = pa.array(["zero", "one", "two", None, "four", "five"])
    popularity_C = np.array([3, 0, 9, 5, 1, 4])
    catalogue = map_catalogue(
        vectors_CD,
        popularity_C,
        titles=titles,
        feature="genres",
        terms=genres,
        max_items=4,
        seed=0,
    )
    assert np.array_equal(catalogue.positions, item_map(vectors_CD[[2, 3, 5, 0]], seed=0))
    assert catalogue.terms == (None, None, "e", "a")
    assert catalogue.feature == "genres"
    assert catalogue.labels[0] == "two"
    assert 1 not in catalogue.labels  # it has no title
    assert set(catalogue.labels.values()) <= {"two", "five", "zero"}


def test_categorical_terms_and_none_at_all() -> None:
    """A column of terms is taken as it is; without one nothing is coloured."""
    vectors_CD, popularity_C = np.eye(3), np.array([3, 2, 1])
    titles = pa.chunked_array([pa.array([10, 20]), pa.array([30])])
    coloured = map_catalogue(
        vectors_CD,
        popularity_C,
        titles=titles,
        feature="maker",
        terms=pa.chunked_array([["x", None, "y"]]),
        seed=0,
    )
    assert coloured.terms == ("x", None, "y")
    assert coloured.labels[0] == "10"
    plain = map_catalogue(vectors_CD, popularity_C, titles=titles, seed=0)
    assert (plain.feature, plain.terms) == ("", ())


def test_labelled_items_are_known_and_apart() -> None:
    """The best-known item is labelled, and no two labels stand for one spot."""
    vectors_CD, _ = clusters(5, 20)
    titles = pa.array([str(number) for number in range(100)])
    catalogue = map_catalogue(vectors_CD, np.arange(100)[::-1], titles=titles, seed=0)
    assert catalogue.labels[0] == "0"
    places = catalogue.positions[list(catalogue.labels)]
    assert 3 <= len(places) <= 14
    assert min(np.linalg.norm(a - b) for a, b in combinations(places, 2)) >= 0.15


def test_labels_on_the_map_hide_no_other() -> None:
    """Written titles neither overlap nor leave the figure; those without room are left out."""
    crowd = ItemMap(
        positions=np.concatenate([np.full((30, 2), 0.5), [[0.0, 0.0], [1.0, 1.0]]]),
        labels={row: f"From $5^{{ to $6 {row}" for row in range(32)},
    )
    with house_style():
        axes = map_figure(crowd).axes[0]
        boxes = [
            child.get_window_extent()
            for child in axes.get_children()
            if isinstance(child, Annotation)
        ]
        frame = axes.bbox
    assert 4 <= len(boxes) < 32
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)
    assert all(frame.y0 <= box.y0 and box.y1 <= frame.y1 for box in boxes)


def test_every_item_is_drawn_once_and_every_colour_named() -> None:
    """Groups of points cover the map; rare terms and missing ones share one entry, the last."""
    terms = [f"_t{row % 8}" for row in range(88)] + [None, None]
    places = np.random.default_rng(0).random((90, 2))
    with house_style():
        axes = map_figure(ItemMap(positions=places, feature="f", terms=tuple(terms))).axes[0]
    drawn = np.concatenate([np.asarray(group.get_offsets()) for group in axes.collections])
    assert np.array_equal(np.sort(drawn, axis=0), np.sort(places, axis=0))
    legend = axes.get_legend()
    assert legend is not None
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["_t0", "_t1", "_t2", "_t3", "_t4", "_t5", "other or none"]
    assert len(axes.collections[0].get_offsets()) == 2 * 11 + 2


def test_the_map_holds_a_bounded_number_of_items() -> None:
    """A large catalogue costs no more than its best-known items."""
    num_items = MAP_ITEMS + 5
    catalogue = map_catalogue(
        np.ones((num_items, 2)), np.arange(num_items), titles=pa.array(range(num_items)), seed=0
    )
    assert len(catalogue.positions) == MAP_ITEMS
    assert catalogue.labels == {0: str(num_items - 1)}
