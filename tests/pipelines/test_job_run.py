"""How jobs end that are stopped, late, or not alone, and the way back: the real command."""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from shop import (
    SMALL_MODEL,
    UNTRACKED,
    contents,
    run_command,
    run_main,
    shop_dataset,
    write_shop,
)
from warm_commands import warm_commands

from pipelines.jobs.ending import run_to_the_end
from pipelines.jobs.job_run import DeadlinesConfig, job_run
from recsys.errors import CheckError, SkippedError
from recsys.publishing import current_run, published_runs

FIRST, SECOND = "2024-03-29", "2024-03-30"


def status_of(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """The last line for machines."""
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.fixture(scope="module")
def two_nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with lists of two nights."""
    folder = tmp_path_factory.mktemp("nights")
    config = write_shop(folder, shop_dataset("int64"), "parquet", SMALL_MODEL, UNTRACKED)
    assert run_main("train-recommender", config, "--as-of", FIRST, "--quiet") == 0
    for day in (FIRST, SECOND):
        assert run_main("write-recommendations", config, "--as-of", day, "--quiet") == 0
    return config


def test_a_stage_that_takes_too_long_ends_the_job(two_nights: Path) -> None:
    """Exit code 8, one line and a status; what was live stays."""
    before = contents(two_nights.parent / "runs")
    done = run_command(
        "write-recommendations", two_nights, "--as-of", SECOND, "--force", "--quiet",
        "--set", "deadlines.load_s=0.0001",
    )  # fmt: skip
    status = json.loads(done.stdout)
    assert done.returncode == status["exit_code"] == 8
    assert (status["outcome"], status["rule"]) == ("FAILED", "deadlines.load_s")
    assert done.stderr.splitlines() == [f"error: {status['message']}"]
    assert contents(two_nights.parent / "runs") == before


def test_a_second_job_for_the_same_outputs_is_skipped(tmp_path: Path) -> None:
    """The lock is that of the outputs, and goes with its holder."""
    deadlines = DeadlinesConfig()
    with job_run("one", tmp_path / "out", deadlines):
        with (
            pytest.raises(SkippedError, match="another one at work"),
            job_run("two", tmp_path / "out", deadlines),
        ):
            pass
        with job_run("three", tmp_path / "other", deadlines):
            pass
    with job_run("two", tmp_path / "out", deadlines):
        pass


def test_sigterm_stops_a_training_cleanly(tmp_path: Path) -> None:
    """Exit code 143 and a status long before its last epoch; nothing is published."""
    slow = SMALL_MODEL.replace("num_epochs = 2", "num_epochs = 100_000\npatience = 100_000")
    config = write_shop(tmp_path, shop_dataset("int64"), "parquet", slow, UNTRACKED)
    out, err, commands = tmp_path / "out", tmp_path / "err", warm_commands()
    job = commands.start("train-recommender", config, stdout=out, stderr=err)
    while not (err.exists() and "\n  epoch 2" in err.read_text()):
        assert commands.ended(job) is None, err.read_text()
        time.sleep(0.01)
    os.kill(job, signal.SIGTERM)
    code, reported = commands.wait(job), err.read_text()
    status = json.loads(out.read_text().splitlines()[-1])
    assert code == status["exit_code"] == 143
    assert (status["job"], status["outcome"]) == ("train-recommender", "FAILED")
    assert "Traceback" not in reported
    assert published_runs(tmp_path / "runs/models") == []


def test_a_killed_training_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    """The outputs have the digest of a training that nobody killed; nothing of its work is left."""
    settings = SMALL_MODEL.replace("num_epochs = 2", 'num_epochs = 15\nprecision = "float32"')
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
        write_shop(folder, shop_dataset("int64"), "parquet", settings, UNTRACKED)
    command = ["train-recommender", "shop.toml", "--as-of", SECOND, "--quiet"]
    expected = json.loads(run_command(*command, cwd=whole).stdout)
    work = broken / "runs/models/.work"
    files = {"stdout": tmp_path / "out", "stderr": tmp_path / "err"}
    job = warm_commands().start(*command, cwd=broken, **files)
    while not any(work.glob("*/fit-001/*")):
        assert warm_commands().ended(job) is None, files["stderr"].read_text()
        time.sleep(0.001)
    os.kill(job, signal.SIGKILL)
    assert warm_commands().wait(job) == -signal.SIGKILL
    assert published_runs(broken / "runs/models") == []
    assert any(work.glob("*/fit-001/*"))
    again = json.loads(run_command(*command, cwd=broken).stdout)
    assert (again["outcome"], again["digest"]) == ("PUBLISHED", expected["digest"])
    assert not any(work.glob("*"))


def test_status_and_rollback(two_nights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The status names what is live and what it was made from; a rollback moves it, both ways."""
    root = two_nights.parent / "runs/recommendations"
    first, second = published_runs(root)
    assert run_main("status", two_nights) == 0
    found = {one["output"]: one for one in status_of(capsys)["outputs"]}
    assert found["recommendations"]["run"] == str(second.folder)
    assert found["recommendations"]["sound"] == "yes"
    assert set(found["recommendations"]["made_from"]) >= {"model", "interactions", "settings"}
    assert found["similar-items"]["run"] is None
    assert run_main("rollback", two_nights, "recommendations") == 0
    assert current_run(root) == first.folder
    assert run_main("rollback", two_nights, "recommendations") == 6
    run_id = second.manifest.run_id
    assert run_main("rollback", two_nights, "recommendations", "--to", run_id) == 0
    assert current_run(root) == second.folder
    assert run_main("rollback", two_nights, "nothing") == 2


def test_a_damaged_live_run_is_told(two_nights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`recsys status` reads every byte that is live."""
    file = current_run(two_nights.parent / "runs/models") / "metrics.json"
    good = file.read_bytes()
    file.write_bytes(good + b" ")
    try:
        assert run_main("status", two_nights) == 0
    finally:
        file.write_bytes(good)
    found = {one["output"]: one for one in status_of(capsys)["outputs"]}
    assert "metrics.json" in found["models"]["sound"]


def raising(error: BaseException) -> Callable[[], None]:
    """A command that does nothing but raise."""

    def command() -> None:
        raise error

    return command


FAILED_CHECK = CheckError(rule="r", place="f", column="c", observed="1", limit="2", remedy="do")


@pytest.mark.parametrize(
    ("error", "code", "outcome", "says"),
    [
        (MemoryError(), 1, "FAILED", "expected memory enough"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x/y"), 6, "FAILED", "/x/y: cannot"),
        (OSError(errno.EIO, os.strerror(errno.EIO), "/x/y"), 1, "FAILED", "/x/y: cannot"),
        (FAILED_CHECK, 3, "HELD", "f: column 'c': r: expected 2, got 1; do"),
        (SkippedError("done already"), 7, "SKIPPED", "done already"),
        (KeyError("oops"), 70, "FAILED", "a defect: KeyError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_end_is_one_line_one_code_and_one_status(
    error: BaseException, code: int, outcome: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever a command raises, the scheduler gets an exit code and a line of JSON."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as end:
            run_to_the_end(raising(error))
    finally:
        signal.signal(signal.SIGTERM, handler)
    reported = capsys.readouterr()
    status = json.loads(reported.out)
    assert end.value.code == status["exit_code"] == code
    assert status["outcome"] == outcome
    assert says in status["message"]
    assert reported.err.splitlines()[-1].endswith(status["message"])
    assert ('ending.py", line' in reported.err) == (code == 70)
    assert "oops" not in reported.err  # what a defect says may be a value of the data
    if error is FAILED_CHECK:
        details = {name: status[name] for name in ("file", "column", "rule", "observed", "limit")}
        assert details == {"file": "f", "column": "c", "rule": "r", "observed": "1", "limit": "2"}


def test_a_server_that_is_down_costs_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is published, the run waits, and `recsys replay-tracking` delivers it once."""
    monkeypatch.chdir(tmp_path)
    config = write_shop(tmp_path, shop_dataset("int64"), "parquet", SMALL_MODEL)
    text = config.read_text()
    config.write_text(text + '[tracking]\nuri = "http://127.0.0.1:9"\n')
    assert run_main("train-recommender", config, "--as-of", SECOND, "--quiet") == 0
    done = status_of(capsys)
    assert (done["outcome"], done["live"], done["model_version"]) == ("PUBLISHED", True, None)
    assert "127.0.0.1:9" in str(done["tracking_problem"])
    spool = tmp_path / "mlflow/store/spool"
    assert any(spool.iterdir())
    database = tmp_path / "mlflow/store/mlflow.db"
    config.write_text(text + f'[tracking]\nuri = "sqlite:///{database}"\n')
    assert run_main("replay-tracking", config, "--any-address", "--quiet") == 0
    assert status_of(capsys)["delivered"] == 1
    assert run_main("replay-tracking", config, "--any-address", "--quiet") == 0
    assert status_of(capsys) | {"job": ""} == {
        "job": "", "outcome": "PASSED", "delivered": 0, "waiting": 0, "waiting_elsewhere": 0,
        "refused_events": 0, "problem": None,
    }  # fmt: skip
