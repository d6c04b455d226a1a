"""Nights of a small shop whose new model or lists are bad: held, stored, and live by hand alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bank import Done, run_bank
from shop import UNTRACKED, write_shop, write_table

from recsys.datasets.dataset import Dataset
from recsys.datasets.synthetic.interactions import generate_interactions
from recsys.publishing import current_run
from recsys.schema import EVENT_TIME, ITEM_ID, USER_ID

SETTINGS = """
[model]
embedding_dim = 16
hidden_dims = [16]
temperature = 0.2
propagation = 0.0
history_dropout = 0.3
user_embedding = false

[training]
num_epochs = 4

[evaluation]
k = 10

[split]
valid_share = 0.0

[lists]
k = 10

[input_checks]
enabled = false

[promotion]
baselines = "ignored"
"""
"""Quick to train; on so small a log item-item cosine is as good as can be."""
HARDLY_TRAINED = "training.num_epochs=1", "training.learning_rate=1e-6", "model.warm_start=false"
FIRST_ROWS, PUSHED = 7500, 10**6


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A shop and its log, which grows from night to night."""

    config: Path
    dataset: Dataset

    @property
    def models(self) -> Path:
        """Root of its models."""
        return self.config.parent / "runs" / "models"

    def log(self, num_rows: int) -> pa.Table:
        """The first rows of the log."""
        return self.dataset.interactions.slice(0, num_rows)

    def run(self, command: str, log: pa.Table, *settings: str) -> Done:
        """A night's job on a log."""
        table = write_table(self.config.parent / f"log-{log.num_rows}.parquet", log)
        options = [option for one in settings for option in ("--set", one)]
        return run_bank(
            command, self.config, "--interactions", table, "--as-of", "2024-03-31", "--force",
            *options,
        )  # fmt: skip

    def train(self, log: pa.Table, *settings: str) -> Done:
        """Train on a log."""
        return self.run("train-recommender", log, *settings)

    def write(self, log: pa.Table, *settings: str) -> Done:
        """Write lists."""
        return self.run("write-recommendations", log, *settings)

    def status(self, output: str) -> Mapping[str, object]:
        """What `recsys status` says of an output."""
        done = run_bank("status", self.config)
        return next(one for one in done.status["outputs"] if one["output"] == output)


def new_shop(folder: Path, *sections: str) -> Shop:
    """A shop with a live model of the beginning of its log."""
    folder.mkdir(exist_ok=True)
    data = generate_interactions(
        num_users=400, num_items=120, num_interactions=8000, num_clusters=6, seed=1
    ).dataset
    data = replace(data, users=None, items=None)
    shop = Shop(config=write_shop(folder, data, "parquet", SETTINGS, *sections), dataset=data)
    assert shop.train(shop.log(FIRST_ROWS)).code == 0
    return shop


@pytest.fixture(scope="module")
def first_night(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop after its first night; tests work on copies."""
    return new_shop(tmp_path_factory.mktemp("shop"), UNTRACKED)


@pytest.fixture
def shop(first_night: Shop, tmp_path: Path) -> Shop:
    """A copy of the shop."""
    folder = shutil.copytree(first_night.config.parent, tmp_path / "shop")
    return replace(first_night, config=folder / first_night.config.name)


def shuffled(log: pa.Table) -> pa.Table:
    """The log with the items of its events in another order."""
    order = np.random.default_rng(0).permutation(log.num_rows)
    items = log[ITEM_ID].combine_chunks().take(pa.array(order))
    return log.set_column(log.column_names.index(ITEM_ID), ITEM_ID, items)


@pytest.mark.parametrize("fault", ["hardly trained", "shuffled"])
def test_a_bad_challenger_is_held_and_stored(shop: Shop, fault: str) -> None:
    """Exit code 3, a status line with rule, observed and limit, the run on the disk, not live."""
    before = current_run(shop.models)
    log = shop.log(7700)
    done = shop.train(log, *HARDLY_TRAINED) if fault == "hardly trained" else shop.train(
        shuffled(log)
    )  # fmt: skip
    assert (done.code, done.status["outcome"], done.status["exit_code"]) == (3, "HELD", 3)
    assert done.status["rule"] in {"champion", "canary"}
    assert done.status["observed"]
    assert done.status["limit"]
    held = Path(str(done.status["file"]))
    assert current_run(shop.models) == before != held
    said = shop.status("models")
    assert (said["run"], said["held"], said["sound"]) == (str(before), str(held), "yes")
    assert str(done.status["rule"]) in str(said["held_because"])
    record = json.loads((held / "promotion.json").read_text())
    assert record["compared_with_champion"]
    assert f"rollback CONFIG models --to {held.name}" in done.error


def test_a_retrain_on_a_little_more_is_published(shop: Shop) -> None:
    """The same settings on more events of the same kind become live, night after night."""
    for rows in (7750, 7900):
        done = shop.train(shop.log(rows))
        assert (done.code, done.status["outcome"]) == (0, "PUBLISHED"), done.error
        assert str(current_run(shop.models)) == done.status["run"]
        record = json.loads((current_run(shop.models) / "promotion.json").read_text())
        assert record["compared_with_champion"]
        assert record["faults"] == []
    values = record["canary"]["values"]
    assert len(values) == 3, "each promoted model adds what it made of the canary"


def test_what_was_held_can_be_made_live(shop: Shop) -> None:
    """A rollback to the held run makes it live; the next honest model is compared with it."""
    first = current_run(shop.models)
    done = shop.train(shop.log(7700), *HARDLY_TRAINED)
    held = Path(str(done.status["file"]))
    back = run_bank("rollback", shop.config, "models", "--to", held.name)
    assert (back.code, back.status["outcome"], back.status["run"]) == (0, "PUBLISHED", str(held))
    assert current_run(shop.models) == held
    assert shop.status("models")["held"] is None
    assert shop.write(shop.log(7700)).code == 0
    # One that is far better than the live one is no leak: the baselines come near to it.
    assert shop.train(shop.log(7800)).code == 0
    assert run_bank("rollback", shop.config, "models", "--to", first.name).code == 0
    assert current_run(shop.models) == first


LOSES = (*HARDLY_TRAINED, "promotion.baselines=not_behind")


def test_a_first_night_that_loses_ends_in_lists_of_a_baseline(shop: Shop) -> None:
    """With nothing live the best baseline is published and said to be one, and so the next day."""
    shutil.rmtree(shop.models)
    for rows in (7500, 7600):
        done = shop.train(shop.log(rows), *LOSES)
        assert (done.code, done.status["outcome"], done.status["live"]) == (0, "PUBLISHED", True)
        assert done.status["ranking"] == "item-item cosine"
        assert "does NOT beat" in str(done.status["verdict"])
        assert "the baseline 'item-item cosine' ranks the lists" in done.messages
        run = Path(str(done.status["run"]))
        assert json.loads((run / "metrics.json").read_text())["ranking"] == "item-item cosine"
        note = str(shop.status("models")["note"])
        assert "item-item cosine" in note
        page = (run / "report" / "report.html").read_text().replace("&#39;", "'")
        assert note[1:] in page
        written = shop.write(shop.log(rows), *LOSES)
        assert (written.code, written.status["outcome"]) == (0, "PUBLISHED"), written.error
        assert set(written.status["sources"]) == {"similar items"}


def test_five_rows_go_live_as_most_popular_items(shop: Shop) -> None:
    """Where nothing can be measured nothing is claimed, and the plain lists are published."""
    shutil.rmtree(shop.models)
    done = shop.train(shop.log(5), "promotion.baselines=not_behind")
    assert (done.code, done.status["ranking"]) == (0, "most popular"), done.error
    assert str(done.status["verdict"]).startswith("Too little to measure")
    assert "too little to measure" in done.messages


def test_too_little_to_measure_holds_beside_a_live_model(shop: Shop) -> None:
    """An export that broke off to five rows does not replace the model of the whole log."""
    done = shop.train(shop.dataset.interactions.slice(7900, 5))
    assert (done.code, done.status["rule"]) == (3, "too little to measure")


def test_lists_written_after_a_held_training_name_it(shop: Shop) -> None:
    """With an older model live it is a warning; with none the job fails and says what to do."""
    held = Path(str(shop.train(shop.log(7700), *HARDLY_TRAINED).status["file"])).name
    written = shop.write(shop.log(7700))
    assert written.code == 0
    assert f"run {held} of 2024-03-31, which was held (" in written.messages
    assert f"rollback CONFIG models --to {held}" in str(written.status["held_model"])
    (shop.models / "CURRENT").unlink()
    written = shop.write(shop.log(7700))
    assert (written.code, written.status["outcome"]) == (4, "FAILED")
    assert f"`recsys rollback CONFIG models --to {held}` makes it live" in written.error
    assert run_bank("rollback", shop.config, "models", "--to", held).code == 0
    assert "was held" not in shop.write(shop.log(7700)).messages


def test_status_lists_what_a_rollback_takes_and_a_rollback_undoes_the_last_move(
    shop: Shop,
) -> None:
    """Whole run ids, held ones with their reason; after `--to`, a rollback leads back."""
    first = current_run(shop.models)
    second = Path(str(shop.train(shop.log(7750)).status["run"]))
    held = Path(str(shop.train(shop.log(7700), *HARDLY_TRAINED).status["file"]))
    said = run_bank("status", shop.config)
    others = shop.status("models")["others"]
    assert [one["run"] for one in others] == [first.name, held.name]
    assert f"{held.name} of 2024-03-31, held: " in said.messages
    assert f"{first.name} of 2024-03-31, published" in said.messages
    assert ".tmp" not in said.messages
    assert run_bank("rollback", shop.config, "models", "--to", held.name).code == 0
    assert run_bank("rollback", shop.config, "models").status["run"] == str(second)
    assert run_bank("rollback", shop.config, "models").status["run"] == str(first)
    assert run_bank("rollback", shop.config, "models").code == 6


def test_without_promotion_everything_becomes_live(shop: Shop) -> None:
    """`promotion.enabled = false` publishes a bad model, and the next one finds no comparison."""
    done = shop.train(shop.log(7600), *HARDLY_TRAINED, "promotion.enabled=false")
    assert done.code == 0
    done = shop.train(shop.log(7700))
    assert done.code == 0
    assert "not compared with the live model: the live run has nothing" in done.messages


def test_a_damaged_live_model_stops_the_next(shop: Shop) -> None:
    """What cannot be compared does not pass for better: the job fails and names the run."""
    live = current_run(shop.models)
    canary = live / "canary.parquet"
    canary.write_bytes(canary.read_bytes()[:-1])
    done = shop.train(shop.log(7700))
    assert (done.code, done.status["outcome"]) == (6, "FAILED")
    assert str(live) in done.error
    assert current_run(shop.models) == live


def test_the_alias_stays_with_the_live_model(tracking_database: Path, tmp_path: Path) -> None:
    """A held model is a version in MLflow, and gets the alias by nothing but a rollback to it."""
    from recsys.tracking.client import load_mlflow

    uri = f"sqlite:///{tracking_database}"
    tracking = f'\n[tracking]\nuri = "{uri}"\nregistered_model = "shop"\n'
    shop = new_shop(tmp_path / "shop", tracking)
    client = load_mlflow().MlflowClient(tracking_uri=uri)
    before = client.get_model_version_by_alias("shop", "champion").version
    done = shop.train(shop.log(7700), *HARDLY_TRAINED)
    assert done.code == 3
    assert client.get_model_version_by_alias("shop", "champion").version == before
    tags = [run.data.tags for run in client.search_runs(["1"])]
    assert any("champion" in one.get("promotion", "") for one in tags)
    back = run_bank("rollback", shop.config, "models", "--to", Path(str(done.status["file"])).name)
    assert (back.code, back.status["tracking_problem"]) == (0, None)
    moved = client.get_model_version_by_alias("shop", "champion")
    assert int(moved.version) == int(before) + 1


def with_fakes(log: pa.Table, num_fakes: int, events: int) -> pa.Table:
    """The log, and users who had one item that nobody else has, beside popular ones."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(num_fakes) + 10**6, events)
    items = log[ITEM_ID].to_numpy()[rng.integers(log.num_rows, size=len(users))].copy()
    items[::2] = PUSHED
    times = log[EVENT_TIME].take(pa.array(rng.integers(log.num_rows, size=len(users))))
    fakes = pa.table({USER_ID: users, ITEM_ID: items, EVENT_TIME: times})
    table = pa.concat_tables([log, fakes.select(log.column_names)])
    return table.sort_by(EVENT_TIME)


def share_of(lists: str, item: int) -> float:
    """Share of lists that an item is in."""
    table = pq.read_table(lists)
    num_lists = len(table[USER_ID].unique())
    return float(np.count_nonzero(table[ITEM_ID].to_numpy() == item) / num_lists)


@pytest.mark.parametrize("num_fakes", [4, 40])
def test_shilling_gains_no_more_than_the_guard_lets_it(shop: Shop, num_fakes: int) -> None:
    """Fake users push one item: its share of lists stays within the limit, or the night is held."""
    log = shop.log(7900)
    before = shop.write(log)
    assert before.code == 0
    cap = "validation.max_events_per_user=200"
    pushed = with_fakes(log, num_fakes=num_fakes, events=150)
    trained = shop.train(pushed, cap)
    assert trained.code in (0, 3)
    written = shop.write(pushed, cap)
    live = shop.status("recommendations")["run"]
    if written.code == 0:
        file = str(written.status["file"])
        assert share_of(file, PUSHED) <= 0.2
    else:
        assert written.status["rule"] in {"exposure", "overlap", "coverage"}
        assert live == str(Path(str(before.status["file"])).parent)


def test_a_user_with_a_hundred_times_the_events_is_capped(shop: Shop) -> None:
    """Of what one account does without end only the latest events count, and this is said."""
    log = with_fakes(shop.log(7600), num_fakes=1, events=2000)
    done = shop.train(log, "validation.max_events_per_user=1000")
    assert done.code == 0, done.error
    left_out = done.status["left_out"]
    assert left_out["capped"] > 900
    assert left_out["capped"] + left_out["duplicate"] == 1000
    assert done.status["used"] + sum(done.status["left_out"].values()) == log.num_rows


def test_lists_like_those_of_the_night_before_are_published(shop: Shop) -> None:
    """A few events more move some places of the lists: the night becomes live."""
    for rows in (7900, 8000):
        assert shop.write(shop.log(rows)).code == 0


def test_lists_from_a_log_that_lacks_users_are_held(shop: Shop) -> None:
    """A log of a third of the users gives lists for them alone: held, the old ones stay live."""
    assert shop.write(shop.log(7900)).code == 0
    before = shop.status("recommendations")["run"]
    log = shop.log(7900)
    done = shop.write(log.filter(pa.array(log[USER_ID].to_numpy() % 3 == 0)))
    assert (done.code, done.status["outcome"], done.status["rule"]) == (3, "HELD", "users")
    assert shop.status("recommendations")["run"] == before
