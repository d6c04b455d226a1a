"""Laws of publishing: what is live, what stays, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from agreeing_outputs import live_text, writing
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import DataError, PublishError
from recsys.publishing import (
    current_run,
    publish,
    published_runs,
    rollback,
)

DAY = "2026-03-01"
NEXT_DAY = "2026-03-02"


def everything_in(root: Path) -> dict[str, bytes]:
    """All files of a folder, but for the lock."""
    files = (path for path in root.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_a_published_run_is_live_and_complete(tmp_path: Path) -> None:
    """Readers find what was written, under the date and the name that it was given."""
    run = publish(tmp_path / "out", date(2026, 3, 1), writing("one"), run_id="a1")

    assert run.is_current
    assert run.folder == current_run(tmp_path / "out") == tmp_path / "out/runs/2026-03-01/a1"
    assert (run.manifest.logical_date, run.manifest.run_id, run.manifest.sequence) == (DAY, "a1", 1)
    assert set(run.manifest.files) == {"b.txt", "day=1/part-0.txt"}
    assert live_text(tmp_path / "out") == "one"


def test_a_run_that_an_earlier_version_published_is_read(tmp_path: Path) -> None:
    """Manifests keep the name `made_from` for what the outputs follow from."""
    inputs = {"data": "ab" * 32, "recsys": "0.1"}
    run = publish(tmp_path, DAY, writing("one"), run_id="a", provenance=inputs)
    manifest = json.loads((run.folder / "_manifest.json").read_text())
    assert manifest["made_from"] == inputs
    assert published_runs(tmp_path)[0].manifest.provenance == inputs


def test_nothing_published_is_said(tmp_path: Path) -> None:
    """A reader of an empty folder is told so."""
    with pytest.raises(PublishError, match="got none; publish one first"):
        current_run(tmp_path)

    assert published_runs(tmp_path) == []


@settings(max_examples=40)
@given(
    steps=st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from(["publish", "fail", "refuse", "roll back"])),
        max_size=8,
    ),
    keep=st.integers(1, 3),
)
def test_any_history_agrees_with_a_plain_model(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str]], keep: int
) -> None:
    """After any publishes, failures and rollbacks the live run and the runs that stay are right."""
    root = tmp_path_factory.mktemp("history")
    stored: list[tuple[int, str]] = []  # day and run id, in order of publication
    live: tuple[int, str] | None = None
    for number, (day, action) in enumerate(steps):
        run_id, when = f"r{number}", f"2026-03-0{day}"
        if action == "publish":
            run = publish(root, when, writing(run_id), run_id=run_id, keep=keep)
            stored.append((day, run_id))
            moved = live is None or live[0] <= day
            live = stored[-1] if moved else live
            stored = [entry for entry in stored if entry in stored[-keep:] or entry == live]
            assert run.is_current == moved
        elif action == "roll back" and stored:
            live = stored[day % len(stored)]
            assert rollback(root, live[1]).is_current
        else:
            _publish_in_vain(root, when, run_id, refuse=action == "refuse")
        assert [run.manifest.run_id for run in published_runs(root)] == [name for _, name in stored]
        assert (live is None) or live_text(root) == live[1]

    assert not [*root.rglob("*.tmp")]


def _publish_in_vain(root: Path, when: str, run_id: str, *, refuse: bool) -> None:
    """Fail in writing, or in the audit."""

    def fail(folder: Path) -> None:
        if refuse:
            assert (folder / "b.txt").read_text() == run_id
        raise DataError(file="x", expected="y", got="z", remedy="w")

    write, audit = (writing(run_id), fail) if refuse else (fail, None)
    with pytest.raises(DataError):
        publish(root, when, write, run_id=run_id, audit=audit)


def test_a_backfill_is_stored_but_does_not_become_live(tmp_path: Path) -> None:
    """A run for an earlier date is kept for its own readers; the later one stays live."""
    publish(tmp_path, NEXT_DAY, writing("later"), run_id="a")
    run = publish(tmp_path, DAY, writing("earlier"), run_id="b")

    assert not run.is_current
    assert (run.folder / "b.txt").read_text() == "earlier"
    assert live_text(tmp_path) == "later"


def test_the_live_run_stays_however_old_it_is(tmp_path: Path) -> None:
    """Backfills push other runs out, but never the one that readers see."""
    publish(tmp_path, NEXT_DAY, writing("live"), run_id="a", keep=1)
    for run_id in ("b", "c"):
        publish(tmp_path, DAY, writing("earlier"), run_id=run_id, keep=1)

    assert live_text(tmp_path) == "live"
    assert [run.manifest.run_id for run in published_runs(tmp_path)] == ["a", "c"]


def test_the_same_run_can_be_published_again(tmp_path: Path) -> None:
    """The same content under the same name changes nothing; other content under it is refused."""
    first = publish(tmp_path, DAY, writing("one"), run_id="a")
    before = everything_in(tmp_path)
    again = publish(tmp_path, DAY, writing("one"), run_id="a")

    assert first == again
    assert before == everything_in(tmp_path)
    with pytest.raises(PublishError, match="expected a new run id, got one with other content"):
        publish(tmp_path, DAY, writing("two"), run_id="a")
    with pytest.raises(PublishError, match="expected a new run id, got this run's"):
        publish(tmp_path, NEXT_DAY, writing("one"), run_id="a")
    assert before == everything_in(tmp_path)


@pytest.mark.parametrize(
    "run_id", ["../x", "", "a/b", ".", "a.tmp", "a\n", "é", "x" * 65, "-a", "*"]
)
def test_run_ids_cannot_leave_their_place(tmp_path: Path, run_id: str) -> None:
    """Names that are not plain are refused before anything is written."""
    for call in [
        lambda: publish(tmp_path / "out", DAY, writing("x"), run_id=run_id),
        lambda: rollback(tmp_path / "out", run_id),
    ]:
        with pytest.raises(PublishError, match="expected a run id"):
            call()

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "../..", "", "2026-03-01T00:00"])
def test_dates_have_to_be_dates(tmp_path: Path, day: str) -> None:
    """A logical date is a day in ISO form."""
    with pytest.raises(PublishError, match="expected a date as YYYY-MM-DD"):
        publish(tmp_path, day, writing("x"), run_id="a")


@pytest.mark.parametrize(
    "pointer", ["", "runs/2026-03-01/../../etc\n", "/etc\n", "runs/2026-03-01/a", "\0", "\udcff"]
)
def test_a_damaged_pointer_leads_nowhere(tmp_path: Path, pointer: str) -> None:
    """Only a pointer of the exact form is followed; a rollback repairs it."""
    publish(tmp_path, DAY, writing("one"), run_id="a")
    (tmp_path / "CURRENT").write_bytes(pointer.encode("utf-8", "surrogateescape"))

    with pytest.raises(PublishError, match="expected runs/DATE/RUN_ID"):
        current_run(tmp_path)
    rollback(tmp_path, "a")
    assert live_text(tmp_path) == "one"


def test_a_rollback_makes_nothing(tmp_path: Path) -> None:
    """A wrong folder is told, not made."""
    with pytest.raises(PublishError, match=r"nowhere: expected stored runs, got no such folder"):
        rollback(tmp_path / "nowhere", "a")

    assert not any(tmp_path.iterdir())


def test_a_lost_live_run_is_said(tmp_path: Path) -> None:
    """A pointer to a run that is gone is an error, not an empty answer."""
    run = publish(tmp_path, DAY, writing("one"), run_id="a")
    run.folder.rename(tmp_path / "moved")

    with pytest.raises(PublishError, match="roll back"):
        current_run(tmp_path)


@pytest.mark.parametrize("damage", ["change", "remove", "add", "manifest"])
def test_a_damaged_run_is_not_rolled_back_to(tmp_path: Path, damage: str) -> None:
    """Each file is checked before a run becomes live again."""
    run = publish(tmp_path, DAY, writing("one"), run_id="a")
    publish(tmp_path, NEXT_DAY, writing("two"), run_id="b")
    match damage:
        case "change":
            (run.folder / "b.txt").write_text("eno")
        case "remove":
            (run.folder / "b.txt").unlink()
        case "add":
            (run.folder / "c.txt").touch()
        case "manifest":
            (run.folder / "_manifest.json").write_text("{}")

    with pytest.raises(PublishError, match="expected the run as it was written"):
        rollback(tmp_path, "a")
    with pytest.raises(PublishError, match="got none of that name"):
        rollback(tmp_path, "c")
    assert live_text(tmp_path) == "two"


@pytest.mark.parametrize("outputs", ["nothing", "a link", "its own manifest"])
def test_outputs_that_cannot_be_sealed_are_refused(tmp_path: Path, outputs: str) -> None:
    """No output at all, links to elsewhere and a file in the manifest's place are not published."""

    def write(folder: Path) -> None:
        if outputs == "a link":
            (folder / "link").symlink_to(tmp_path)
        if outputs == "its own manifest":
            (folder / "_manifest.json").touch()

    with pytest.raises(PublishError):
        publish(tmp_path, DAY, write, run_id="a")

    assert everything_in(tmp_path) == {}


def test_an_audit_that_changes_the_outputs_is_refused(tmp_path: Path) -> None:
    """What is published is what was sealed, byte for byte."""

    def audit(folder: Path) -> None:
        (folder / "b.txt").write_text("changed")

    with pytest.raises(PublishError, match=r"'b\.txt'"):
        publish(tmp_path, DAY, writing("one"), run_id="a", audit=audit)


def test_publishing_needs_no_heavy_library() -> None:
    """A publisher starts quickly: neither torch nor Arrow is imported."""
    code = "import sys, recsys.publishing; print({'torch', 'pyarrow', 'numpy'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert result.stdout.strip() == "set()"
