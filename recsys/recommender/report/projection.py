"""A two-dimensional map of item vectors, in which items of similar use lie close together.

Shapes: C items, D embedding width.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.manifold import TSNE

from recsys.arrays import Float64Array, FloatArray
from recsys.errors import DataError
from recsys.recommender.report.content import ItemMap

MAP_ITEMS = 1500
"""Items on a map: more would take longer to lay out and hide each other."""

_PERPLEXITY = 30
_MIN_ITEMS = 10  # with fewer items there are no neighbourhoods to preserve
_STEPS = 500  # half of the library's default and time; clusters are stable by then
_MAX_LABELS = 14
_LABEL_DISTANCE = 0.15


def item_map(item_embeddings_CD: FloatArray, *, seed: int) -> Float64Array:
    """Lay out item vectors in the plane by t-SNE, from their principal components.

    van der Maaten and Hinton 2008, "Visualizing data using t-SNE", JMLR; the start is that of
    Kobak and Berens 2019, "The art of using t-SNE for single-cell transcriptomics". Points close
    together have similar vectors; long distances and the axes have no meaning. A map of `MAP_ITEMS`
    vectors takes two to three seconds of one core.

    Args:
        item_embeddings_CD: Item vectors.
        seed: Seed of the layout.

    Returns:
        Places within the unit square, the longer side filled. Shape (C, 2).

    Raises:
        DataError: A vector is not finite.
    """
    if not np.isfinite(item_embeddings_CD).all():
        raise DataError(
            file="item embeddings",
            expected="finite vectors",
            got="NaN or infinity",
            remedy="train again with a lower learning rate",
        )
    places_C2 = _principal_components(item_embeddings_CD)
    scale = places_C2[:, 0].std() if len(places_C2) else 0.0
    if len(places_C2) >= _MIN_ITEMS and scale > 0:
        jitter_C2 = np.random.default_rng(seed).normal(scale=0.01, size=places_C2.shape)
        layout = TSNE(  # the start is small; the jitter separates equal vectors
            init=((places_C2 / scale + jitter_C2) * 1e-4).astype(np.float32),
            perplexity=min(_PERPLEXITY, (len(places_C2) - 1) / 3),
            max_iter=_STEPS,
            random_state=seed,
        )
        vectors_CD = np.asarray(item_embeddings_CD, dtype=np.float32)
        places_C2 = layout.fit_transform(vectors_CD).astype(np.float64)
    return _within_unit_square(places_C2)


def map_catalogue(
    item_embeddings_CD: FloatArray,
    popularity_C: npt.NDArray[np.number],
    *,
    titles: pa.Array | pa.ChunkedArray,
    feature: str = "",
    terms: pa.Array | pa.ChunkedArray | None = None,
    max_items: int = MAP_ITEMS,
    seed: int,
) -> ItemMap:
    """Map the most popular items of a catalogue, with a few of them labelled across the map.

    Args:
        item_embeddings_CD: Vectors of the catalogue.
        popularity_C: Any measure of the popularity of each item.
        titles: What to call the items, in the same order; null for no label. Shape (C,).
        feature: Name of the feature that colours the items.
        terms: Its column, categorical or multi-hot, of which the first term counts. Shape (C,).
        max_items: How many of the items are mapped.
        seed: Seed of the layout.

    Raises:
        DataError: A vector is not finite.
    """
    shown = np.argsort(-popularity_C, kind="stable")[:max_items]
    places_C2 = item_map(item_embeddings_CD[shown], seed=seed)
    names = titles.take(pa.array(shown)).cast(pa.string()).to_pylist()
    return ItemMap(
        positions=places_C2,
        feature=feature if terms is not None else "",
        terms=() if terms is None else _first_terms(terms.take(pa.array(shown))),
        labels={row: names[row] for row in _apart(places_C2) if names[row]},
    )


def _principal_components(vectors_CD: FloatArray) -> Float64Array:
    """Coordinates along the two directions of largest variance, 0 where there is none. (C, 2)."""
    places_C2 = np.zeros((len(vectors_CD), 2))
    if vectors_CD.size == 0:
        return places_C2
    centred_CD = vectors_CD.astype(np.float64) - vectors_CD.mean(axis=0, dtype=np.float64)
    _, directions_DD = np.linalg.eigh(centred_CD.T @ centred_CD)  # ascending
    leading = directions_DD[:, ::-1][:, :2]
    signs = np.sign(leading[np.abs(leading).argmax(axis=0), np.arange(leading.shape[1])])
    places_C2[:, : leading.shape[1]] = centred_CD @ (leading * signs)
    return places_C2


def _within_unit_square(places_C2: Float64Array) -> Float64Array:
    if len(places_C2) == 0:
        return places_C2
    low, high = places_C2.min(axis=0), places_C2.max(axis=0)
    centred_C2 = places_C2 - (low + high) / 2
    places_C2 = centred_C2 / (float((high - low).max()) or 1.0) + 0.5
    return np.asarray(places_C2.clip(0, 1))


def _apart(places_C2: Float64Array) -> list[int]:
    """The first rows, that is the best-known items, that keep a distance from one another."""
    rows: list[int] = []
    is_near_C = np.zeros(len(places_C2), dtype=np.bool_)
    while len(rows) < _MAX_LABELS and not is_near_C.all():
        rows.append(int(is_near_C.argmin()))
        distances_C = np.linalg.norm(places_C2 - places_C2[rows[-1]], axis=1)
        is_near_C |= distances_C < _LABEL_DISTANCE
    return rows


def _first_terms(column: pa.Array | pa.ChunkedArray) -> tuple[str | None, ...]:
    """The term of each row, or the first one of a list; None for a null or an empty list."""
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        first = pc.list_slice(column, 0, 1, return_fixed_size_list=True)
        column = pc.list_element(first, 0)
    terms: list[str | None] = column.cast(pa.string()).to_pylist()
    return tuple(terms)
