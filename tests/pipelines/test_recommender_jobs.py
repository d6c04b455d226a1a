"""The jobs of a night, end to end, on a small shop: as CSV with text ids, as Parquet with int64."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from nights import NEXT_NIGHT, NIGHT, QUIET, K, Night, newcomers, shop_items, spend_nights
from shop import ITEM_FEATURES, SMALL_MODEL, UNTRACKED, USER_FEATURES, shop_dataset

from pipelines.recommender.similar_items import similar_items_job
from pipelines.recommender.write_lists import write_recommendations_job
from recsys.artifacts import digest_table
from recsys.config import config_to_dict
from recsys.datasets.loading import load_dataset
from recsys.errors import SkippedError
from recsys.publishing import current_run, published_runs, verify_run
from recsys.recommender.lists.list_files import similar_items_schema
from recsys.schema import ITEM_ID, USER_ID, recommendations_schema
from recsys.tracking.client import load_mlflow


@pytest.fixture(scope="module")
def csv_night(tmp_path_factory: pytest.TempPathFactory, tracking_template: Path) -> Night:
    """CSV, ids with leading zeros, features of users and items of all kinds, tracked."""
    folder = tmp_path_factory.mktemp("csv")
    shutil.copy(tracking_template, folder / "mlflow.db")
    tracking = f'[tracking]\nuri = "sqlite:///{folder}/mlflow.db"\nregistered_model = "shop"\n'
    segments = '[evaluation]\nk = 10\nsegments = ["segment"]\n'
    features = USER_FEATURES + ITEM_FEATURES
    sections = SMALL_MODEL, features, segments, tracking
    return spend_nights(folder, shop_dataset("string"), "csv", *sections)


@pytest.fixture(scope="module")
def parquet_night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Parquet, int64 ids, no features, a vector for each user, not tracked."""
    folder = tmp_path_factory.mktemp("parquet")
    own_vectors = SMALL_MODEL.replace("[model]", "[model]\nuser_embedding = true")
    return spend_nights(folder, shop_dataset("int64"), "parquet", own_vectors, UNTRACKED)


@pytest.fixture(params=["csv_night", "parquet_night"])
def night(request: pytest.FixtureRequest) -> Night:
    """Each of the shops."""
    return request.getfixturevalue(request.param)


def lists_of(file: object) -> dict[object, pd.DataFrame]:
    """Written lists by user, in the order of the file."""
    frame = pq.read_table(str(file)).to_pandas()
    return dict(iter(frame.groupby(USER_ID, sort=False)))


def pairs_of(table: pa.Table) -> dict[object, set[object]]:
    """Items by user."""
    found: dict[object, set[object]] = {}
    for user, item in zip(table[USER_ID].to_pylist(), table[ITEM_ID].to_pylist(), strict=True):
        found.setdefault(user, set()).add(item)
    return found


def test_every_user_gets_one_full_list(night: Night) -> None:
    """Every user has one list of k distinct allowed items, ranks from 1, scores that fall."""
    log, users = night.today.interactions, night.today.users
    lists = lists_of(night.written["file"])
    everyone = {*log[USER_ID].to_pylist(), *users[USER_ID].to_pylist()}
    catalogue = set(shop_items(night))
    seen, denied = pairs_of(log), pairs_of(night.rules["deny"])
    eligible = set(night.rules["eligible"][ITEM_ID].to_pylist())

    assert set(lists) == everyone
    num_constrained = 0
    for user, rows in lists.items():
        allowed = (catalogue & eligible) - seen.get(user, set()) - denied.get(user, set())
        assert set(rows[ITEM_ID]) <= allowed
        assert rows[ITEM_ID].is_unique
        assert len(rows) == min(K, len(allowed))
        assert rows["rank"].tolist() == list(range(1, len(rows) + 1))
        assert np.isfinite(rows["score"]).all()
        assert rows["score"].is_monotonic_decreasing
        assert rows["source"].nunique() == 1
        num_constrained += bool(denied.get(user, set()) - seen.get(user, set()))
    assert num_constrained > 20  # the deny list has an effect


def test_the_file_keeps_types_and_says_what_it_holds(night: Night) -> None:
    """Ids come out as they went in, the schema is the documented one, the status line counts."""
    log = night.today.interactions
    table = pq.read_table(str(night.written["file"]))
    assert table.schema.equals(recommendations_schema(log[USER_ID].type, log[ITEM_ID].type))
    users = pc.unique(table[USER_ID])
    assert night.written["users"] == len(users) == 153
    assert night.written["rows"] == table.num_rows
    assert sum(night.written["sources"].values()) == len(users)


def test_sources_say_what_a_list_was_made_from(night: Night) -> None:
    """Users with events get lists from history, others from features, else from popularity."""
    new = newcomers(night.today.interactions[USER_ID].type)
    lists = lists_of(night.plain["file"])
    sources = {user: rows["source"].iloc[0] for user, rows in lists.items()}
    has_features = bool(night.config.features.users)

    assert sources.pop(new.silent) == ("features" if has_features else "popularity")
    assert sources.pop(new.stranger) == "popularity"
    assert set(sources.values()) == {"history"}
    assert new.active in sources
    counts = pc.value_counts(night.today.interactions[ITEM_ID].combine_chunks()).to_pylist()
    by_count = sorted((-entry["counts"], entry["values"]) for entry in counts)
    best = [item for _, item in by_count][:K]
    assert len({*lists[new.stranger][ITEM_ID]} & {*best}) >= K / 2


def test_a_new_user_with_events_gets_lists_of_their_own(night: Night) -> None:
    """The list from the history of a user unseen in training is not that of the most popular."""
    new = newcomers(night.today.interactions[USER_ID].type)
    lists = lists_of(night.plain["file"])
    own, popular = lists[new.active][ITEM_ID].tolist(), lists[new.stranger][ITEM_ID].tolist()
    assert own != popular


def test_the_live_run_is_the_latest_by_date(night: Night) -> None:
    """A run for an earlier day is kept but not live, and gives the same lists as it did then."""
    root = night.config.recommendations
    live = current_run(root)
    assert live == Path(str(night.plain["file"])).parent
    assert live.parent.name == NEXT_NIGHT.isoformat()

    with pytest.raises(SkippedError, match="add --force to run all the same"):
        write_recommendations_job(night.config, NIGHT, QUIET)
    again = write_recommendations_job(night.config, NIGHT, QUIET, force=True)

    assert current_run(root) == live
    assert again["digest"] == night.written["digest"]
    assert pq.read_table(str(again["file"])).equals(pq.read_table(str(night.written["file"])))
    runs = published_runs(root)
    stored = [Path(str(done["file"])).parent for done in (night.written, night.plain, again)]
    assert set(stored) <= {run.folder for run in runs}
    assert [folder.parent.name for folder in stored] == ["2024-04-01", "2024-04-02", "2024-04-01"]
    for run in runs:
        verify_run(run.folder)


def test_seen_items_come_back_where_that_is_asked_for(night: Night) -> None:
    """With `filter_seen = false` most lists hold something that their user already had."""
    lists_config = replace(night.config.lists, filter_seen=False, deny=None)
    done = write_recommendations_job(replace(night.config, lists=lists_config), NIGHT, QUIET)
    seen = pairs_of(night.today.interactions)
    lists = lists_of(done["file"])
    num_repeating = sum(bool(set(lists[user][ITEM_ID]) & seen[user]) for user in seen)
    assert num_repeating > len(seen) / 2


def test_similar_items_are_neighbours_of_every_item(night: Night) -> None:
    """Every item of the model has k other items, by cosines that do not rise."""
    done = similar_items_job(night.config, NIGHT, QUIET)
    table = pq.read_table(str(done["file"]))
    item_type = night.today.interactions[ITEM_ID].type
    assert table.schema.equals(similar_items_schema(item_type))
    lists = dict(iter(table.to_pandas().groupby(ITEM_ID, sort=False)))
    assert set(lists) == set(shop_items(night))
    assert done["items"] == len(lists)
    for item, rows in lists.items():
        assert item not in set(rows["similar_item_id"])
        assert rows["similar_item_id"].nunique() == len(rows) == K
        assert rows["rank"].tolist() == list(range(1, K + 1))
        assert rows["score"].is_monotonic_decreasing
        assert rows["score"].between(-1.00001, 1.00001).all()


def test_the_training_run_holds_everything(night: Night) -> None:
    """A published training has its report, and figures of model, baselines and prefixes."""
    run = Path(str(night.trained["run"]))
    assert current_run(night.config.models) == run
    assert Path(str(night.trained["report"])) == run / "report" / "report.html"
    assert (run / "report" / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert night.trained["outcome"] == "PUBLISHED"
    figures = json.loads((run / "metrics.json").read_text())
    k = night.config.evaluation.k
    assert {"selection", "durations_s", "peak_rss_mb", "index", "evaluations", "by_prefix"} <= set(
        figures
    )
    assert set(figures["by_prefix"]) == {"8", "16"}
    assert {"two-tower", "most popular", "item-item cosine"} <= set(figures["evaluations"])
    for evaluation in figures["evaluations"].values():
        assert {f"recall@{k}", f"ndcg@{k}", f"mrr@{k}", f"hit_rate@{k}", f"coverage@{k}"} <= set(
            evaluation["overall"]
        )
        assert "history length" in evaluation["by_segment"]
        assert set(night.config.evaluation.segments) <= set(evaluation["by_segment"])
    widest = figures["by_prefix"]["16"]
    assert widest == figures["evaluations"]["two-tower"]["overall"]


def test_the_run_is_tracked(csv_night: Night) -> None:
    """MLflow has every setting, figures of each epoch, digests of the tables, the report."""
    client = load_mlflow().MlflowClient(tracking_uri=csv_night.config.tracking.uri)
    run_id = str(csv_night.trained["tracked"]).rpartition(" ")[2]
    run = client.get_run(run_id)
    config, data = csv_night.config, run.data

    assert run.info.status == "FINISHED"
    assert data.params["model.embedding_dim"] == "16"
    model = config_to_dict(config)["model"]
    sequence = {f"sequence.{name}" for name in model["sequence"]}
    assert {f"model.{name}" for name in {*model, *sequence} - {"sequence"}} <= set(data.params)
    num_epochs = 2
    for name in ("loss", "validation_ndcg", "interactions_per_s"):
        steps = [point.step for point in client.get_metric_history(run_id, name)]
        assert steps == list(range(1, num_epochs + 1)), name
    figures = json.loads((Path(str(csv_night.trained["run"])) / "metrics.json").read_text())
    overall = figures["evaluations"]["two-tower"]["overall"]
    assert data.metrics["recall_at_10"] == pytest.approx(overall["recall@10"])
    assert data.metrics["ndcg_at_10"] == pytest.approx(overall["ndcg@10"])
    assert data.metrics["peak_rss_mb"] > 0

    trained_on = load_dataset(
        replace(
            config.data,
            interactions=config.data.interactions.with_name("interactions.csv"),
            users=config.data.users.with_name("users.csv"),
        ),
        config.columns,
        config.features,
    )
    digests = {
        one.dataset.name: json.loads(one.dataset.profile)["sha256"]
        for one in run.inputs.dataset_inputs
    }
    assert digests == {
        name: digest_table(getattr(trained_on, name)) for name in ("interactions", "users", "items")
    }
    kept = {file.path for file in client.list_artifacts(run_id)}
    assert {"report.html", "metrics.json", "environment.json"} <= kept


def test_the_champion_recommends_as_the_job_does(csv_night: Night) -> None:
    """The registered model, loaded by alias, gives the lists that were written for old users."""
    mlflow = load_mlflow()
    mlflow.set_tracking_uri(csv_night.config.tracking.uri)
    client = mlflow.MlflowClient(tracking_uri=csv_night.config.tracking.uri)
    champion = client.get_model_version_by_alias("shop", "champion")
    assert int(champion.version) == csv_night.trained["model_version"] == 1

    written = pq.read_table(str(csv_night.plain["file"])).to_pandas()
    users = csv_night.today.users[USER_ID].to_pylist()[:50]
    asked = pd.DataFrame({USER_ID: users})
    answer = mlflow.pyfunc.load_model("models:/shop@champion").predict(asked)

    expected = written.set_index(USER_ID).loc[users].reset_index()
    columns = [USER_ID, ITEM_ID, "rank", "source"]
    assert answer[columns].to_numpy().tolist() == expected[columns].to_numpy().tolist()
    assert answer["score"].to_numpy() == pytest.approx(expected["score"].to_numpy(), abs=1e-5)
