"""One peer on one split: tuned on the validation part, fitted on all of train, measured on test.

Prints JSON; `compare.py` starts it once a peer, so that the peak of memory is the peer's own.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from climb import climb
from methods import METHODS, Lists, Method
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsys.datasets.dataset import DataConfig
from recsys.datasets.loading import load_dataset
from recsys.features.history import user_item_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.benchmark import measure_lists
from recsys.recommender.evaluation.metrics import hit_matrix, ndcg_at_k, relevant_counts
from recsys.schema import ITEM_ID, RANK, USER_ID

K = 20


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", choices=[*METHODS], required=True)
    parser.add_argument("--split", type=Path, required=True)
    arguments = parser.parse_args()
    method = METHODS[arguments.method]
    train, valid, test = (
        load_dataset(DataConfig(interactions=arguments.split / f"{part}.parquet")).interactions
        for part in ("train", "valid", "test")
    )
    # implicit starts threads of its own, which BLAS threads inside of them slow down many times
    with threadpool_limits(1 if "implicit" in arguments.method else None, "blas"):
        print(json.dumps(measure(method, train, valid, test)))


def measure(method: Method, train: pa.Table, valid: pa.Table, test: pa.Table) -> dict[str, object]:
    """Quality on the test part and costs, or why there are none."""
    users, items = Vocabulary.fit(train[USER_ID]), Vocabulary.fit(train[ITEM_ID])
    whole = _matrix(train, users, items)
    refusal = method.refusal(len(items))
    if refusal:
        return {"refusal": refusal}
    started = time.perf_counter()
    settings, num_tried = dict(method.start), 0
    if method.ladders and len(items) <= (method.max_tuned_items or len(items)):
        relevant = user_item_matrix(valid, users=users, items=items)
        rest = whole - whole.multiply(sparse.csr_matrix(relevant > 0))
        rest.eliminate_zeros()
        settings, num_tried = climb(
            settings, method.ladders, lambda found: _quality(method, found, rest, relevant)
        )
    tuned = time.perf_counter()
    search = method.fit(whole, settings)
    fitted = time.perf_counter()
    tested = Vocabulary.fit(test[USER_ID])
    numbers = users.numbers(tested.terms)
    known = numbers >= 0
    lists = search(numbers[known], K)
    searched = time.perf_counter()
    table = _table(tested.terms.filter(pa.array(known)), items, lists)
    return {
        **measure_lists(table, test, items=items, k=K),
        "settings": settings,
        "trials": num_tried,
        "tune_s": tuned - started,
        "fit_s": fitted - tuned,
        "users_per_s": float(known.sum() / (searched - fitted)),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }


def _quality(
    method: Method, settings: dict[str, float], rest: sparse.csr_matrix, relevant: sparse.csr_array
) -> float:
    """Mean NDCG on the validation part of users who have something left to learn from."""
    rows = np.flatnonzero((np.diff(relevant.indptr) > 0) & (np.diff(rest.indptr) > 0))
    lists = method.fit(rest, settings)(rows, K)
    hits = hit_matrix(lists, relevant[rows])
    return float(ndcg_at_k(hits, relevant_counts(relevant[rows]), k=K).mean())


def _matrix(log: pa.Table, users: Vocabulary, items: Vocabulary) -> sparse.csr_matrix:
    matrix = sparse.csr_matrix(user_item_matrix(log, users=users, items=items))
    matrix.data = np.ones(matrix.nnz, dtype=np.float32)
    return matrix


def _table(user_ids: pa.Array, items: Vocabulary, lists: Lists) -> pa.Table:
    places = lists >= 0
    rows, ranks = np.nonzero(places)
    return pa.table(
        {
            USER_ID: user_ids.take(pa.array(rows)),
            ITEM_ID: items.terms.take(pa.array(lists[places])),
            RANK: ranks + 1,
        }
    )


if __name__ == "__main__":
    main()
