"""How much it counts that a user had an item before, where lists may hold it again.

The score of an item becomes that of the model plus a weight times the log of how often the user
took it. With weight 0 that is the model, with a large one what the user took most often followed by
the model's own order: people who buy the same again are served by the one, those who look for
something new by the other, and the validation part says where a log lies between them.

Shapes: V users of the sample, C items.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys.features.history import repeat_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.evaluation.metrics import hit_matrix, ndcg_at_k, relevant_counts
from recsys.recommender.evaluation.popularity import half_lives, log_shares, popularity
from recsys.recommender.fitting.validation_sample import ValidationSample
from recsys.recommender.model import RecommenderModel
from recsys.recommender.ranking.by_source import most_popular
from recsys.recommender.ranking.own_items import add_own_terms
from recsys.recommender.ranking.ranker import Numbers
from recsys.recommender.ranking.topk import Embeddings, masked_top_k

REPEAT_WEIGHTS = (0.0, 0.3, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 256.0)
"""Weights to choose from, in units of the logits; the last ones let own items go first."""
_OWN_FIRST = np.float32(1e3)
"""Weight beside log popularity with which own items go first."""


def with_repeats(
    sample: ValidationSample, log: pa.Table, *, users: Vocabulary, items: Vocabulary
) -> tuple[ValidationSample, float | None]:
    """The sample with how often its users took what, and the half-life that this is counted with.

    The half-life is the one with which own items followed by popular ones rank best: what a user
    buys again is told by the log alone, whatever model comes beside it.

    Args:
        sample: Users with what they took afterwards.
        log: What came before.
        users: The known users.
        items: The catalogue.
    """
    if sample.filter_seen or not sample.num_users:
        return sample, None
    popularity_C = log_shares(popularity(log, items, half_life_days=None))
    base = most_popular(popularity_C, sample.num_users, sample.k, excluded=None)
    ones = np.ones((sample.num_users, 1), dtype=np.float32)
    tried: dict[float | None, tuple[float, ValidationSample]] = {}
    for half_life in half_lives(log):
        counts = repeat_matrix(log, users=users, items=items, half_life_days=half_life)
        found = replace(sample, repeats=counts[sample.user_numbers])
        own = counts[sample.user_numbers] * _OWN_FIRST
        lists, _ = add_own_terms(*base, own, queries_BD=ones, vectors_CD=popularity_C[:, None])
        tried[half_life] = float(_ndcg(lists, sample).mean()), found
    best = max(tried, key=lambda one: tried[one][0])
    return tried[best][1], best


def best_repeat_weight(
    model: RecommenderModel, sample: ValidationSample
) -> tuple[float, npt.NDArray[np.float64]]:
    """The best weight beside the model's other settings, and the quality of each list. Shape (V,).

    Of weights that are equally good the smallest.
    """
    queries_VW, _ = model.embed_users(model.users.lookup(sample.user_numbers))
    vectors_CW = model.item_vectors()
    base = masked_top_k(queries_VW, vectors_CW, sample.k, excluded=sample.hidden)
    best = (0.0, _ndcg(base[0], sample))
    for weight in REPEAT_WEIGHTS[1:] if sample.repeats is not None else ():
        lists = _with_weight(model, sample, weight, base, (queries_VW, vectors_CW))
        found_V = _ndcg(lists, sample)
        if found_V.mean() > best[1].mean():
            best = weight, found_V
    return best


def _with_weight(
    model: RecommenderModel,
    sample: ValidationSample,
    weight: float,
    base: tuple[Numbers, npt.NDArray[np.float32]],
    vectors: tuple[Embeddings, Embeddings],
) -> Numbers:
    weighted = replace(model, selection=replace(model.selection, repeat_weight=weight))
    own = weighted.own_terms(sample.repeats)
    if own is None:
        return base[0]
    queries_VW, vectors_CW = vectors
    return add_own_terms(*base, own, queries_BD=queries_VW, vectors_CD=vectors_CW)[0]


def _ndcg(lists: Numbers, sample: ValidationSample) -> npt.NDArray[np.float64]:
    hits = hit_matrix(lists, sample.relevant)
    return ndcg_at_k(hits, relevant_counts(sample.relevant), k=sample.k)
