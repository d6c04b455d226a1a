"""The weight of items that a user had before, where lists may repeat them.

The score of an item becomes that of the model plus a weight times the log of how often the user
took it. With weight 0 it is the model alone; with a large weight, lists start with what the user
took most often. The first suits people who look for something new, the second people who buy the
same again; the validation part decides where a log lies between them.

Shapes: V users of the sample, C items.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from recsys.arrays import Float32Array, Float64Array, Int64Array
from recsys.features.history import repeat_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.evaluation.metrics import hit_matrix, ndcg_at_k, relevant_counts
from recsys.recommender.evaluation.popularity import half_lives, log_shares, popularity
from recsys.recommender.evaluation.steady import steady_choice
from recsys.recommender.fitting.validation_sample import ValidationSample
from recsys.recommender.model import RecommenderModel, Selection
from recsys.recommender.ranking.by_source import most_popular
from recsys.recommender.ranking.own_items import add_own_terms
from recsys.recommender.ranking.topk import Embeddings, masked_top_k

REPEAT_WEIGHTS = (0.0, 0.3, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 256.0)
"""Weights to choose from, in units of the logits; with the last ones, own items come first."""
_OWN_FIRST = np.float32(1e3)
"""Weight beside log popularity with which own items go first."""


def with_repeats(
    sample: ValidationSample,
    log: pa.Table,
    *,
    users: Vocabulary,
    items: Vocabulary,
    previous: Selection | None = None,
) -> tuple[ValidationSample, float | None]:
    """The sample with how often its users took what, and the half-life that this is counted with.

    The half-life is the one with which own items followed by popular ones rank best: what a user
    buys again depends on the log alone, not on the model.

    Args:
        sample: Users with what they took afterwards.
        log: What came before.
        users: The known users.
        items: The catalogue.
        previous: What was chosen the day before, which stays unless another is clearly better.
    """
    if sample.filter_seen or not sample.num_users:
        return sample, None
    popularity_C = log_shares(popularity(log, items, half_life_days=None))
    base = most_popular(popularity_C, sample.num_users, sample.k, excluded=None)
    ones = np.ones((sample.num_users, 1), dtype=np.float32)
    choices = half_lives(log)
    counted, qualities = list[ValidationSample](), list[Float64Array]()
    for half_life in choices:
        counts = repeat_matrix(log, users=users, items=items, half_life_days=half_life)
        counted.append(replace(sample, repeats=counts[sample.user_numbers]))
        own = counts[sample.user_numbers] * _OWN_FIRST
        lists, _ = add_own_terms(*base, own, queries_BD=ones, vectors_CD=popularity_C[:, None])
        qualities.append(_ndcg(lists, sample))
    was_chosen = previous is not None and not previous.filter_seen
    before = previous.repeat_half_life_days if previous is not None and was_chosen else None
    kept = choices.index(before) if was_chosen and before in choices else None
    place = steady_choice(qualities, kept=kept, slack_errors=1.0)
    return counted[place], choices[place]


def repeat_qualities(
    model: RecommenderModel, sample: ValidationSample
) -> dict[float, Float64Array]:
    """What each weight gives beside the model's other settings: the quality of each list. (V,)."""
    queries_VW, _ = model.embed_users(model.users.lookup(sample.user_numbers))
    vectors_CW = model.item_vectors()
    base = masked_top_k(queries_VW, vectors_CW, sample.k, excluded=sample.hidden)
    found = {0.0: _ndcg(base[0], sample)}
    for weight in REPEAT_WEIGHTS[1:] if sample.repeats is not None else ():
        lists = _with_weight(model, sample, weight, base, (queries_VW, vectors_CW))
        found[weight] = _ndcg(lists, sample)
    return found


def _with_weight(
    model: RecommenderModel,
    sample: ValidationSample,
    weight: float,
    base: tuple[Int64Array, Float32Array],
    vectors: tuple[Embeddings, Embeddings],
) -> Int64Array:
    weighted = replace(model, selection=replace(model.selection, repeat_weight=weight))
    own = weighted.own_terms(sample.seen, sample.repeats)
    if own is None:
        return base[0]
    queries_VW, vectors_CW = vectors
    return add_own_terms(*base, own, queries_BD=queries_VW, vectors_CD=vectors_CW)[0]


def _ndcg(lists: Int64Array, sample: ValidationSample) -> Float64Array:
    hits = hit_matrix(lists, sample.relevant)
    return ndcg_at_k(hits, relevant_counts(sample.relevant), k=sample.k)
