"""Holdout evaluation: a model and its baselines, measured on later interactions.

Shapes: U users of the comparison, C items of the catalogue, K list length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from recsys.arrays import Float32Array, Float64Array, Int64Array
from recsys.datasets.dataset import Dataset
from recsys.features.encoder import rows_of
from recsys.features.history import UserItemMatrix, repeat_matrix, rows_or_empty, user_item_matrix
from recsys.features.vocabulary import UNKNOWN, Vocabulary
from recsys.recommender.config import EvaluationConfig
from recsys.recommender.evaluation.baselines import ItemItemCosine, MostPopular, OwnMostFrequent
from recsys.recommender.evaluation.champion import ChampionRanker
from recsys.recommender.evaluation.evaluate import (
    Evaluation,
    evaluate_lists,
    history_length_segment,
)
from recsys.recommender.evaluation.popularity import popularity
from recsys.recommender.evaluation.retraining import RetrainingShift, exposure, shift_between
from recsys.recommender.model import RecommenderModel
from recsys.recommender.ranking.by_source import exact_lists
from recsys.recommender.ranking.ranker import Ranker, rank_all
from recsys.schema import ITEM_ID, USER_ID

MODEL = "two-tower"
"""Name of the model among its baselines."""

_CHAMPION = "champion"
_BATCH_USERS = 4096
_MAX_LABELS, _OTHER = 12, "other"


@dataclass(frozen=True, kw_only=True, eq=False)
class TwoTowerRanker:
    """A model as a `Ranker` over users that are numbered by a vocabulary of their own.

    Users without history and features get the most popular items.
    """

    model: RecommenderModel
    """The model."""
    user_ids: pa.Array
    """Users, by number. Shape (U,)."""
    user_table: pa.Table | None = None
    """Their features; those of training by default."""
    width: int | None = None
    """Dimensions to use; all by default."""

    def rank(
        self, user_numbers: Int64Array, *, k: int, train: UserItemMatrix | None
    ) -> tuple[Int64Array, Float32Array]:
        """Rank as `ranking.Ranker` says."""
        model, ids = self.model, self.user_ids.take(pa.array(user_numbers))
        queries_BW, sources = model.embed_users(ids, user_table=self.user_table, width=self.width)
        repeats = model.repeats
        if repeats is not None:
            repeats = rows_or_empty(repeats, model.users.numbers(ids))
        return exact_lists(
            queries_BW,
            sources,
            k,
            vectors_CD=model.item_vectors(self.width),
            popularity_C=model.popular_scores,
            excluded=None if train is None else train[user_numbers],
            own=model.own_terms(rows_or_empty(model.histories, model.users.numbers(ids)), repeats),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """The model and its baselines on interactions that came later."""

    evaluations: Mapping[str, Evaluation]
    """Evaluation by name; `MODEL` comes first."""
    by_prefix: Mapping[int, Evaluation]
    """Evaluation of the model by number of dimensions used."""
    part: Literal["test", "validation"]
    """The part that was ranked; settings were chosen on the validation part, so that a comparison
    on it flatters the model."""
    num_new_items: int
    """Items of the test part that training did not have; nobody can recommend them."""
    segments: Mapping[str, npt.ArrayLike]
    """Label of each user by the name of the segment. Shape (U,) each."""
    champion: Evaluation | None = None
    """Evaluation of the live model's counterpart on the same users, if one was given."""
    exposures: Mapping[str, Float64Array] = field(default_factory=dict)
    """Share of the lists of each ranker that each item is in, by name. Shape (C,) each."""
    champion_exposure: Float64Array | None = None
    """The same of the live model's counterpart."""

    @property
    def retraining(self) -> RetrainingShift | None:
        """How far the lists shifted from the live model to this one; None without a live one."""
        if self.champion_exposure is None or MODEL not in self.exposures:
            return None
        return shift_between(self.exposures[MODEL], self.champion_exposure)

    def with_model(self, baseline: str) -> Comparison:
        """The comparison as it is once a baseline ranks in the place of the model."""
        return replace(
            self,
            evaluations={**self.evaluations, MODEL: self.evaluations[baseline]},
            exposures={**self.exposures, MODEL: self.exposures[baseline]},
        )

    @property
    def baselines(self) -> dict[str, Evaluation]:
        """The evaluations but the model's."""
        return {name: found for name, found in self.evaluations.items() if name != MODEL}


def compare(
    model: RecommenderModel,
    before: Dataset,
    test: pa.Table,
    config: EvaluationConfig,
    *,
    part: Literal["test", "validation"] = "test",
    champion: RecommenderModel | None = None,
) -> Comparison:
    """Evaluate a model and its baselines on interactions that came later.

    All of them rank with the filter that the model was chosen for. If lists may repeat items, what
    users took most often is a baseline too.

    Items that training did not have count among a user's test items, for the model and for the
    baselines: leaving them out would make every list look better than it is.

    Args:
        model: Fitted on `before`.
        before: What was known before the test part.
        test: The test part.
        config: What is measured.
        part: What `test` is: on the validation part the model looks better than it is.
        champion: A model that was fitted on nothing of the test part, to measure beside it.
    """
    users = Vocabulary.fit(
        pa.chunked_array([*before.interactions[USER_ID].chunks, *test[USER_ID].chunks])
    )
    items = _with_new_items(model.items, test)
    # From the tables and not from the model, which might be wrong about what users had.
    seen = user_item_matrix(before.interactions, users=users, items=model.items)
    relevant = user_item_matrix(test, users=users, items=items)
    train = _in_catalogue(seen, len(items))
    segments = _segments(users, seen, before, config)
    hidden = seen if model.selection.filter_seen else None

    exposures: dict[str, Float64Array] = {}

    def evaluate(ranker: Ranker, name: str = "") -> Evaluation:
        lists_UK = np.concatenate([found for _, found, _ in rank_all(
            ranker, np.arange(len(users)), k=config.k, train=hidden, batch_size=_batch_size(ranker)
        )])  # fmt: skip
        exposures[name] = exposure(lists_UK, len(items))
        return evaluate_lists(
            lists_UK, relevant, train=train, ks=(config.k,), segments=segments,
            item_embeddings_CD=_padded(model.item_embeddings, len(items)),
        )  # fmt: skip

    widths = model.config.trained_widths
    two_tower = TwoTowerRanker(model=model, user_ids=users.terms, user_table=before.users)
    rankers: dict[str, Ranker] = {MODEL: two_tower, **_baselines(model, users, seen, before)}
    return Comparison(
        evaluations={name: evaluate(ranker, name) for name, ranker in rankers.items()},
        by_prefix={width: evaluate(replace(two_tower, width=width)) for width in widths},
        part=part,
        num_new_items=len(items) - len(model.items),
        segments=segments,
        champion=None
        if champion is None
        else evaluate(
            ChampionRanker.of(champion, before, users=users.terms, items=items), _CHAMPION
        ),
        exposures=exposures,
        champion_exposure=exposures.get(_CHAMPION),
    )


def _everyone(before: pa.Table, test: pa.Table) -> Vocabulary:
    """The users of both parts."""
    return Vocabulary.fit(pa.chunked_array([*before[USER_ID].chunks, *test[USER_ID].chunks]))


def _in_catalogue(seen: UserItemMatrix, num_items: int) -> UserItemMatrix:
    """The same rows in a larger catalogue."""
    larger: UserItemMatrix = sparse.csr_array(
        (seen.data.astype(np.float32), seen.indices, seen.indptr),
        shape=(seen.shape[0], num_items),
    )
    return larger


def _baselines(
    model: RecommenderModel, users: Vocabulary, seen: UserItemMatrix, before: Dataset
) -> dict[str, Ranker]:
    """What the model is compared with, by name."""
    popular = MostPopular.fit(seen)
    found: dict[str, Ranker] = {"most popular": popular}
    if model.selection.popularity_half_life_days is not None:
        found["recently popular"] = _recently_popular(model, before.interactions)
    if not model.selection.filter_seen:
        counts = repeat_matrix(
            before.interactions, users=users, items=model.items, half_life_days=None
        )
        found["own most frequent"] = OwnMostFrequent.of(counts, popular)
    return found | {"item-item cosine": ItemItemCosine.fit(seen)}


def _recently_popular(model: RecommenderModel, interactions: pa.Table) -> MostPopular:
    scores_C = popularity(
        interactions, model.items, half_life_days=model.selection.popularity_half_life_days
    ).astype(np.float32)
    order_C = np.argsort(-scores_C, kind="stable")
    return MostPopular(order=order_C, num_users=scores_C[order_C])


def _with_new_items(known: Vocabulary, test: pa.Table) -> Vocabulary:
    """The catalogue followed by items that only the test part has."""
    tested = Vocabulary.fit(test[ITEM_ID])
    new = tested.terms.filter(pa.array(known.numbers(tested.terms) == UNKNOWN))
    return Vocabulary(pa.concat_arrays([known.terms, new]))


def _segments(
    users: Vocabulary, seen: UserItemMatrix, before: Dataset, config: EvaluationConfig
) -> dict[str, npt.ArrayLike]:
    """Labels of each user, by segment."""
    segments: dict[str, npt.ArrayLike] = {"history length": history_length_segment(seen)}
    if before.users is not None:
        rows = rows_of(before.users, USER_ID, users.terms)
        segments |= {name: _labels(rows[name]) for name in config.segments}
    return segments


def _labels(terms: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    """Terms as labels; beyond the most frequent dozen all are "other", nulls stay."""
    counts = pc.value_counts(terms.drop_null())
    table = pa.table({"term": counts.field("values"), "count": counts.field("counts")})
    order = table.sort_by([("count", "descending"), ("term", "ascending")])
    frequent = pc.is_in(terms, value_set=order["term"][:_MAX_LABELS].combine_chunks())
    names = terms.cast(pa.string())
    labels = pc.if_else(pc.or_(frequent, terms.is_null()), names, _OTHER)
    return labels.to_numpy()  # type: ignore[no-any-return]  # pyarrow has no types


def _padded(embeddings_CD: Float32Array, num_items: int) -> Float32Array:
    """Zero vectors for items that are in no list."""
    return np.pad(embeddings_CD, ((0, num_items - len(embeddings_CD)), (0, 0)))


def _batch_size(ranker: Ranker) -> int:
    """The model searches in blocks of its own; baselines hold a score for each user and item."""
    return _BATCH_USERS if isinstance(ranker, TwoTowerRanker | ChampionRanker) else 128
