"""Jobs as assets of Dagster: files come out, what is held is not tried again, failures stop."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from shop import SMALL_MODEL, UNTRACKED, shop_dataset, write_shop

dg = pytest.importorskip("dagster", reason="the extra `dagster` is not installed")

from pipelines.schedule.dagster_definitions import definitions, run_command  # noqa: E402
from pipelines.schedule.schedule import SHIPPED_SCHEDULE, load_schedule  # noqa: E402
from recsys.publishing import current_run, verify_run  # noqa: E402

DAY = "2024-03-30"
TINY_MODEL = SMALL_MODEL.replace("num_epochs = 2", "num_epochs = 1\ntime_budget_s = 2")
ONCE_MORE = dg.RetryPolicy(max_retries=1, delay=0)
NIGHT = """
[jobs.train]
command = "train-recommender"
config = "shop.toml"
cron = "0 1 * * MON"
deadline_s = {deadline_s}

[jobs.write-lists]
command = "write-recommendations"
config = "shop.toml"
cron = "0 3 * * *"
upstream = ["train"]
deadline_s = 600

[jobs.similar]
command = "similar-items"
config = "shop.toml"
cron = "0 4 * * *"
upstream = ["train", "write-lists"]
deadline_s = 600
"""


@pytest.fixture
def instance() -> Iterator[object]:
    """An instance that leaves nothing behind."""
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def stored_instance() -> Iterator[object]:
    """An instance on disk: what schedules can ask."""
    with dg.instance_for_test() as found:
        yield found


def write_schedule(folder: Path, *, deadline_s: int = 600) -> Path:
    """A night of lists."""
    path = folder / "schedule.toml"
    path.write_text(NIGHT.format(deadline_s=deadline_s))
    return path


def fake_recsys(folder: Path, script: str) -> Path:
    """A command that notes each call in `calls` and then runs some lines of shell."""
    path = folder / "recsys"
    path.write_text(f'#!/bin/sh\necho "$@" >> "{folder}/calls"\n{script}\n')
    path.chmod(0o755)
    return path


def calls(folder: Path) -> list[str]:
    """Commands that were called."""
    return [line.split()[0] for line in (folder / "calls").read_text().splitlines()]


def materialized(found: object, instance: object, day: str = DAY) -> object:
    """The result of all assets on a day."""
    return dg.materialize(
        list(found.assets), instance=instance, partition_key=day, raise_on_error=False
    )


def facts(result: object, name: str) -> Mapping[str, object]:
    """Metadata of an asset that came out."""
    (event,) = result.asset_materializations_for_node(name)
    return {key: value.value for key, value in event.metadata.items()}


def failure(result: object, name: str) -> tuple[str, Mapping[str, object]]:
    """Words and metadata of an asset that failed."""
    data = result.failure_data_for_node(name)
    user = data.user_failure_data
    return user.description, {key: value.value for key, value in user.metadata.items()}


def test_a_night_of_assets_publishes(tmp_path: Path, instance: object) -> None:
    """Real jobs on a small shop run in upstream order, publish, and tell their status as metadata.

    A second run finds that all was done, which is no failure.
    """
    write_shop(tmp_path, shop_dataset("int64"), "parquet", TINY_MODEL, UNTRACKED)
    found = definitions(write_schedule(tmp_path), retries=ONCE_MORE)
    result = materialized(found, instance)

    assert result.success
    for name, kind in {"train": "models", "write_lists": "recommendations"}.items():
        run = current_run(tmp_path / "runs" / kind)
        verify_run(run)
        assert DAY in run.parts
        assert facts(result, name)["outcome"] == "PUBLISHED"
    assert facts(result, "write_lists")["users"] == 150
    assert Path(str(facts(result, "similar")["file"])).is_file()

    again = dg.materialize(
        list(found.assets), instance=instance, partition_key=DAY, selection="train"
    )
    assert again.success
    assert facts(again, "train")["outcome"] in {"SKIPPED", "PUBLISHED"}


def test_data_that_is_refused_holds_the_night(tmp_path: Path, instance: object) -> None:
    """A real job whose newest data are weeks older than its day is held, and nothing follows it."""
    write_shop(tmp_path, shop_dataset("int64"), "parquet", TINY_MODEL, UNTRACKED)
    found = definitions(write_schedule(tmp_path), retries=ONCE_MORE)
    result = materialized(found, instance, day="2024-04-20")
    words, metadata = failure(result, "train")

    assert not result.success
    assert words.startswith("HELD: ")
    assert metadata["exit_code"] == 3
    assert not result.is_node_success("write_lists")
    assert not result.is_node_success("similar")
    assert not (tmp_path / "runs" / "models" / "CURRENT").exists()


@pytest.mark.parametrize(
    ("code", "outcome", "tries"),
    [(3, "HELD", 1), (8, "FAILED", 1), (1, "FAILED", 2), (6, "FAILED", 2)],
)
def test_only_what_failed_is_tried_again(
    tmp_path: Path, instance: object, code: int, outcome: str, tries: int
) -> None:
    """What was held or ran out of time is tried once, other failures twice; none has followers."""
    status = {"outcome": outcome, "message": "why", "rule": "rows", "limit": 5, "share": None}
    recsys = fake_recsys(tmp_path, f"echo '{json.dumps(status)}'\nexit {code}")
    found = definitions(write_schedule(tmp_path), recsys=recsys, retries=ONCE_MORE)
    result = materialized(found, instance)
    words, metadata = failure(result, "train")

    assert calls(tmp_path) == ["train-recommender"] * tries
    assert words == f"{outcome}: why"
    assert metadata == {**status, "exit_code": code}


def test_what_is_skipped_is_no_failure(tmp_path: Path, instance: object) -> None:
    """A job that was done already counts as done, says so, and is followed."""
    recsys = fake_recsys(tmp_path, 'echo \'{"outcome": "SKIPPED"}\'\nexit 7')
    found = definitions(write_schedule(tmp_path), recsys=recsys, retries=ONCE_MORE)
    result = materialized(found, instance)

    assert result.success
    assert calls(tmp_path) == ["train-recommender", "write-recommendations", "similar-items"]
    assert facts(result, "train") == {"exit_code": 7, "outcome": "SKIPPED"}


def test_a_job_is_stopped_at_its_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM comes at the deadline, and the status that the job still writes is read."""
    trap = 'trap \'echo "{\\"outcome\\": \\"FAILED\\"}"; exit 143\' TERM'
    script = f'{trap}\ntouch "{tmp_path}/ready"\nsleep 600 &\nwait $!'
    recsys, deadline_s, wait = fake_recsys(tmp_path, script), 12_345, subprocess.Popen.wait

    def wait_until_ready(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        if timeout != deadline_s:
            return wait(process, timeout)
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        raise subprocess.TimeoutExpired(process.args, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", wait_until_ready)
    code, status = run_command([str(recsys), "validate"], deadline_s=deadline_s)

    assert (code, status) == (8, {"outcome": "FAILED"})


@pytest.mark.parametrize("output", ["", "no json", "[1]", "3\n\n"])
def test_a_status_line_may_be_missing(tmp_path: Path, output: str) -> None:
    """A command that says nothing of use still has an exit code."""
    recsys = fake_recsys(tmp_path, f"printf '%s' '{output}'\nexit 5")

    assert run_command([str(recsys), "validate"], deadline_s=60) == (5, {})


def ask(found: object, name: str, due: datetime, instance: object) -> object:
    """What a schedule says at a time."""
    schedule = found.resolve_schedule_def(f"{name}_schedule")
    context = dg.build_schedule_context(
        instance=instance, scheduled_execution_time=due, repository_def=found.get_repository_def()
    )
    return schedule.evaluate_tick(context)


def test_schedules_ask_for_the_day_that_is_over(tmp_path: Path, stored_instance: object) -> None:
    """A schedule has the cron text in UTC, and asks for the day before."""
    found = definitions(write_schedule(tmp_path))
    schedule = found.resolve_schedule_def("train_schedule")
    (request,) = ask(
        found, "train", datetime(2024, 4, 8, 1, tzinfo=UTC), stored_instance
    ).run_requests

    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 1 * * MON", "UTC")
    assert request.partition_key == "2024-04-07"


def test_schedules_wait_for_upstream_of_the_day(tmp_path: Path, stored_instance: object) -> None:
    """A job is left out where its upstream of that day has not succeeded, and only there."""
    recsys = fake_recsys(tmp_path, "exit 0")
    found = definitions(write_schedule(tmp_path), recsys=recsys)
    monday, tuesday = (datetime(2024, 4, day, 3, tzinfo=UTC) for day in (8, 9))
    before = ask(found, "write_lists", monday, stored_instance)
    other_day = ask(found, "write_lists", tuesday, stored_instance)
    assert materialized(found, stored_instance, day="2024-04-07").success
    after = ask(found, "write_lists", monday, stored_instance)

    assert not before.run_requests
    assert before.skip_message == "train of 2024-04-07 has not succeeded"
    assert [one.partition_key for one in other_day.run_requests] == ["2024-04-08"]
    assert [one.partition_key for one in after.run_requests] == ["2024-04-07"]


def test_the_shipped_schedule_is_what_dagster_loads() -> None:
    """Every job of the shipped schedule is an asset with the same upstream."""
    found, schedule = definitions(SHIPPED_SCHEDULE), load_schedule(SHIPPED_SCHEDULE)
    dg.Definitions.validate_loadable(found)
    graph = found.resolve_asset_graph()
    upstream = {
        key.to_user_string(): {one.to_user_string() for one in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }

    assert upstream == {
        name.replace("-", "_"): {one.replace("-", "_") for one in job.upstream}
        for name, job in schedule.jobs.items()
    }
