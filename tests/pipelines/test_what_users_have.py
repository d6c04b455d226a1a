"""Lists by the real commands: what users have is left out, or comes again, as the config says."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from shop import UNTRACKED, run_main, write_shop

from recsys.datasets.synthetic.interactions import generate_interactions
from recsys.publishing import current_run
from recsys.recommender.model_bundle import load_model
from recsys.recommender.serving import load_recommender
from recsys.schema import ITEM_ID, SOURCE, USER_ID

SECTIONS = """
[model]
embedding_dim = 8
hidden_dims = [8]
temperature = 0.2
propagation = 0.0
history_dropout = 0.0

[training]
num_epochs = 1

[features.users]
segment = "categorical"

[validation]
max_events_per_user = 4

[lists]
k = 1000000
"""
"""Everyone has more events than count, and lists hold all that they may."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with a model and lists, a tenth of whose users have features and no events."""
    dataset = generate_interactions(
        num_users=60, num_items=40, num_interactions=700, num_clusters=3, seed=1
    ).dataset
    log = dataset.interactions.filter(pc.greater_equal(dataset.interactions[USER_ID], 6))
    dataset = type(dataset)(**{**vars(dataset), "interactions": log, "items": None})
    folder = tmp_path_factory.mktemp("shop")
    config = write_shop(folder, dataset, "parquet", SECTIONS, UNTRACKED)
    assert run_main("train-recommender", config, "--quiet") == 0
    assert run_main("write-recommendations", config, "--quiet") == 0
    return config


def pairs(table: pa.Table) -> set[tuple[object, object]]:
    """Users and items of a table."""
    return set(zip(table[USER_ID].to_pylist(), table[ITEM_ID].to_pylist(), strict=True))


def served(config: Path, users: pa.Array) -> pa.Table:
    """Lists of the published model, as the registry serves it."""
    run = current_run(config.parent / "runs" / "models")
    return load_recommender(run / "model", run / "index").recommend_table(users, 10**6)


def test_a_cap_limits_what_is_learnt_and_never_what_is_left_out(shop: Path) -> None:
    """With four events each that count, no list holds an item of the whole log, job or registry."""
    log = pq.read_table(shop.parent / "interactions.parquet")
    lists = pq.read_table(
        current_run(shop.parent / "runs" / "recommendations") / "recommendations.parquet"
    )
    model, _ = load_model(current_run(shop.parent / "runs" / "models") / "model")
    assert model.histories.nnz < len(pairs(log)) / 2
    users = pa.array(sorted(set(lists[USER_ID].to_pylist())))
    assert len(users) == 60
    from_registry = served(shop, users)
    assert not pairs(lists) & pairs(log)
    assert pairs(from_registry) == pairs(lists)
    assert lists.num_rows == sum(
        1
        for user in users.to_pylist()
        for item in model.items.terms.to_pylist()
        if (user, item) not in pairs(log)
    )


def test_users_known_by_features_alone_get_the_same_lists_from_the_registry(shop: Path) -> None:
    """In their order, and with the same sources."""
    lists = pq.read_table(
        current_run(shop.parent / "runs" / "recommendations") / "recommendations.parquet"
    )
    by_features = lists.filter(pc.equal(lists[SOURCE], "features"))
    assert set(by_features[USER_ID].to_pylist()) == set(range(1, 6))
    users = pa.array(range(1, 6), lists[USER_ID].type)
    columns = [USER_ID, ITEM_ID, "rank", SOURCE]
    assert served(shop, users).select(columns).equals(by_features.select(columns))


def test_the_registry_hears_that_seen_items_may_come_again(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained for such lists, a model serves the lists of the job, and is measured so."""
    config = tmp_path / "shop.toml"
    config.write_text(shop.read_text().replace("k = 1000000", "k = 12\nfilter_seen = false"))
    for name in ("interactions", "users"):
        (tmp_path / f"{name}.parquet").symlink_to(shop.parent / f"{name}.parquet")
    assert run_main("train-recommender", config, "--quiet") in {0, 3}
    assert run_main("write-recommendations", config, "--quiet") == 0
    status = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert status["rows"] == 60 * 12
    run = current_run(tmp_path / "runs" / "models")
    measured = json.loads((run / "metrics.json").read_text())
    assert "own most frequent" in measured["evaluations"]
    assert "recall@12" in measured["evaluations"]["two-tower"]["overall"]
    lists = pq.read_table(status["file"])
    users = pa.array(sorted(set(lists[USER_ID].to_pylist())))
    found = load_recommender(run / "model", run / "index").recommend_table(users, 12)
    assert pairs(found) == pairs(lists)
    assert pairs(lists) & pairs(pq.read_table(shop.parent / "interactions.parquet"))


def test_a_day_before_what_the_model_has_learnt_is_told(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lists of an earlier day come from a model that knows later ones, and the job says so."""
    options = ("--as-of", "2024-03-01", "--set", "input_checks.enabled=false")
    assert run_main("write-recommendations", shop, *options) == 0
    reported = capsys.readouterr()
    assert "has learnt from events up to 2024-03-" in reported.err
    assert not json.loads(reported.out.splitlines()[-1])["live"]


def test_eligible_items_that_match_nothing_are_held(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ids of another form: exit code 3 with the counts, and the live lists stay."""
    live = current_run(shop.parent / "runs" / "recommendations")
    pq.write_table(pa.table({ITEM_ID: [9001, 9002]}), tmp_path / "stock.parquet")
    option = f"lists.eligible={tmp_path / 'stock.parquet'}"
    assert run_main("write-recommendations", shop, "--set", option) == 3
    status = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert status["observed"] == "none of its 2 rows: 2 name items that are not known"
    assert current_run(shop.parent / "runs" / "recommendations") == live


def test_eligible_items_of_five_rows_do_not_replace_full_lists(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A change of one setting switches no guard off: the lists are stored and not live."""
    live = current_run(shop.parent / "runs" / "recommendations")
    log = pq.read_table(shop.parent / "interactions.parquet")
    few = pa.table({ITEM_ID: pc.unique(log[ITEM_ID])[:5]})
    pq.write_table(few, tmp_path / "stock.parquet")
    option = f"lists.eligible={tmp_path / 'stock.parquet'}"
    assert run_main("write-recommendations", shop, "--set", option) == 3
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["rule"] == "coverage"
    assert current_run(shop.parent / "runs" / "recommendations") == live


def test_items_without_neighbours_are_held(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One item has no other one: nothing is in the output, and nothing goes live."""
    log = pa.table(
        {
            USER_ID: list(range(30)),
            ITEM_ID: [1] * 30,
            "event_time": pa.array(range(30), pa.int64()).cast(pa.timestamp("us", tz="UTC")),
        }
    )
    pq.write_table(log, tmp_path / "interactions.parquet")
    config = tmp_path / "shop.toml"
    sections = SECTIONS.replace('[features.users]\nsegment = "categorical"\n', "")
    config.write_text('[data]\ninteractions = "interactions.parquet"\n' + sections + UNTRACKED)
    assert run_main("train-recommender", config, "--quiet", "--set", "promotion.enabled=false") == 0
    assert run_main("similar-items", config, "--quiet") == 3
    status = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (status["rule"], status["observed"]) == ("empty lists", "1 of 1 lists without an item")
    assert run_main("write-recommendations", config, "--quiet") == 3
    status = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert status["observed"] == "30 of 30 lists without an item"
