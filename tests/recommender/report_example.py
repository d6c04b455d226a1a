"""Content for reports."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from scipy import sparse

from recsys.recommender.evaluation.evaluate import Evaluation, evaluate_lists
from recsys.recommender.index import IndexReport, OperatingPoint
from recsys.recommender.model import Selection
from recsys.recommender.report import DataFacts, ExampleItem, ExampleList, ItemMap, ReportContent
from recsys.training import EpochResult

K = 5
NUM_USERS, NUM_ITEMS = 60, 40


def evaluation(skill: float, *, segments: dict[str, list[str]] | None = None) -> Evaluation:
    """Lists in which each user's one test item stands in front with the probability `skill`."""
    rng = np.random.default_rng(7)
    items_UK = np.stack([rng.permutation(NUM_ITEMS - 1)[:K] for _ in range(NUM_USERS)])
    items_UK[rng.random(NUM_USERS) < skill, 0] = NUM_ITEMS - 1
    relevant = sparse.csr_array((NUM_USERS, NUM_ITEMS), dtype=np.float32).tolil()
    relevant[:, NUM_ITEMS - 1] = 1
    train = sparse.csr_array(rng.random((NUM_USERS, NUM_ITEMS)) < 0.2, dtype=np.float32)
    return evaluate_lists(
        items_UK,
        sparse.csr_array(relevant.tocsr()),
        train=train,
        ks=(3, K),
        item_embeddings_CD=rng.normal(size=(NUM_ITEMS, 4)),
        segments=segments,
    )


def operating_point(list_length: int, effort: int, recall: float) -> OperatingPoint:
    """A measured point; more effort is slower."""
    return OperatingPoint(
        list_length=list_length,
        effort=effort,
        recall=recall,
        recall_low=recall - 0.01,
        queries_per_s=9876.0 / (effort or 50),
    )


def index_report(kind: str) -> IndexReport:
    """What an index of a kind was measured to do."""
    points = [operating_point(20, 0, 1.0)]
    if kind != "exact":
        points += [operating_point(20, 4, 0.8765), operating_point(20, 8, 0.9654)]
    return IndexReport(
        kind=kind,  # type: ignore[arg-type]
        num_items=4321,
        embedding_dim=64,
        dim=32,
        unit_norm=True,
        build_s=1.5,
        size_bytes=7_200_000,
        recall_k=20,
        num_recall_queries=1000,
        recall=points[-1].recall,
        chosen=() if kind == "exact" else (points[-1],),
        operating_points=tuple(points),
        notes=("A note on the index.",),
    )


def epochs(num_epochs: int, *, best: int | None) -> tuple[EpochResult, ...]:
    """A falling loss, and a validation measure with its top at `best`."""
    return tuple(
        EpochResult(
            epoch=epoch,
            loss=6.5432 / epoch,
            duration_s=1.25,
            examples_per_s=12345.0,
            validation=None if best is None else 0.1234 - 0.01 * abs(epoch - best),
        )
        for epoch in range(1, num_epochs + 1)
    )


def item_map_of(num_items: int, *, term: str = "Drama", title: str = "Known item") -> ItemMap:
    """Random places, some coloured, three labelled."""
    return ItemMap(
        positions=np.random.default_rng(3).random((num_items, 2)),
        feature="genres",
        terms=tuple((term, "Comedy", None)[row % 3] for row in range(num_items)),
        labels={row: f"{title} {row}" for row in range(3)},
    )


def full_content(word: str = "word", *, skill: float = 0.9) -> ReportContent:
    """A report with all its parts, in which every text of the user's holds `word`."""
    segments = {f"country {word}": [f"{word} {user % 3}" for user in range(NUM_USERS)]}
    item = ExampleItem(title=f"Title {word}", detail=f"detail {word}", is_hit=True)
    return ReportContent(
        name=f"run {word}",
        k=K,
        model=evaluation(skill, segments=segments),
        baselines={
            f"popular {word}": evaluation(0.5, segments=segments),
            "cosine": evaluation(0.2),
        },
        epochs=epochs(6, best=4),
        refit_epochs=epochs(4, best=None),
        prefixes={32: evaluation(0.7).overall, 8: evaluation(0.5).overall},
        index=index_report("ivf"),
        item_map=item_map_of(90, term=f"term {word}", title=f"Map {word}"),
        examples=(
            ExampleList(
                user=f"id {word}",
                source=f"history {word}",
                history=(item,),
                recommendations=(item, ExampleItem(title="Plain title")),
            ),
        ),
        data=DataFacts(
            source=f"source {word}",
            num_interactions=54321,
            num_users=NUM_USERS,
            num_items=NUM_ITEMS,
            first_event=datetime(2013, 2, 28, 14, 38, tzinfo=UTC),
            last_event=datetime(2013, 9, 1, 20, 27, tzinfo=UTC),
            cuts={"test from": datetime(2013, 8, 17, tzinfo=UTC)},
            parts={f"part {word}": 43210},
        ),
        selection=Selection(
            num_epochs=4,
            popularity_half_life_days=12.5,
            training_half_life_days=None,
            popularity_weight=0.75,
            temperature=0.12,
            propagation=0.3,
            history_dropout=0.3,
            embedding_dim=16,
        ),
        settings={f"model {word}": {"dims": [8, 32], "name": word, "batch_size": None}},
        versions={"numpy": f"1 {word}"},
        durations_s={f"fit {word}": 83.0},
        peak_memory_mb=812.4,
    )


def least_content() -> ReportContent:
    """A report of nothing but the model's quality."""
    return ReportContent(name="least", k=K, model=evaluation(0.9))
