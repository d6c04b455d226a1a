"""Laws of signed runs: with a key, a run that was written without it is not read."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from agreeing_outputs import live_text, writing

from recsys.errors import ConfigError, PublishError
from recsys.publishing import current_run, publish, published_runs, rollback, verify_run

DAY, NEXT_DAY = "2026-03-01", "2026-03-02"
KEY, OTHER_KEY = "k" * 32, "o" * 64


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """All tests begin with a key."""
    monkeypatch.setenv("RECSYS_MANIFEST_KEY", KEY)


def rewritten(run: Path, text: str) -> None:
    """Change an output and write a manifest whose digests fit, as anybody could."""
    (run / "b.txt").write_text(text)
    manifest = json.loads((run / "_manifest.json").read_text())
    digest = hashlib.sha256(text.encode()).hexdigest()
    manifest["files"]["b.txt"] = {"size": len(text.encode()), "sha256": digest}
    (run / "_manifest.json").write_text(json.dumps(manifest))


def test_signed_runs_are_read(tmp_path: Path) -> None:
    """With the key that wrote them runs are live, listed, sound, and can be rolled back to."""
    first = publish(tmp_path, DAY, writing("one"), run_id="a")
    publish(tmp_path, NEXT_DAY, writing("two"), run_id="b")

    assert live_text(tmp_path) == "two"
    assert [run.manifest.run_id for run in published_runs(tmp_path)] == ["a", "b"]
    assert len((first.folder / "_manifest.hmac").read_text()) == 65
    rollback(tmp_path, "a")
    assert live_text(tmp_path) == "one"


def test_a_rewritten_manifest_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digests that fit are not enough; without a key nobody can tell."""
    run = publish(tmp_path, DAY, writing("one"), run_id="a").folder
    rewritten(run, "forged")

    for read in (current_run, lambda root: verify_run(current_run(root))):
        with pytest.raises(PublishError, match=r"a _manifest.hmac of another manifest"):
            read(tmp_path)
    with pytest.raises(PublishError):
        rollback(tmp_path, "a")
    assert published_runs(tmp_path) == []
    monkeypatch.delenv("RECSYS_MANIFEST_KEY")
    assert verify_run(current_run(tmp_path)).run_id == "a"


@pytest.mark.parametrize("signature", [None, "", "0" * 64 + "\n", "x" * 1000, "\u0661" * 64])
def test_other_signatures_are_refused(tmp_path: Path, signature: str | None) -> None:
    """No signature, an empty one, a wrong one, a long one and look-alikes are all none."""
    run = publish(tmp_path, DAY, writing("one"), run_id="a").folder
    (run / "_manifest.hmac").unlink()
    if signature is not None:
        (run / "_manifest.hmac").write_text(signature)

    with pytest.raises(PublishError, match=r"_manifest\.hmac"):
        current_run(tmp_path)


def test_another_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is read with the key that it was written with, and no other."""
    publish(tmp_path, DAY, writing("one"), run_id="a")
    monkeypatch.setenv("RECSYS_MANIFEST_KEY", OTHER_KEY)

    with pytest.raises(PublishError, match="another RECSYS_MANIFEST_KEY"):
        current_run(tmp_path)


def test_a_changed_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """With a key, whoever asks for the live run gets one whose every file is as it was signed."""
    run = publish(tmp_path, DAY, writing("one"), run_id="a").folder
    (run / "b.txt").write_text("two")

    with pytest.raises(PublishError, match=r"other bytes in 'b\.txt'"):
        current_run(tmp_path)


def test_a_bundle_with_a_manifest_of_its_own_is_held_to_the_signature(tmp_path: Path) -> None:
    """A bundle that was replaced whole is sound in itself: its run is not listed any more."""

    def write(folder: Path) -> None:
        (folder / "model").mkdir()
        (folder / "model" / "manifest.json").write_text("{}")

    run = publish(tmp_path, DAY, write, run_id="a").folder
    (run / "model" / "manifest.json").write_text('{"forged": 1}')

    assert published_runs(tmp_path) == []


def test_a_signed_run_does_not_pass_for_another(tmp_path: Path) -> None:
    """A run that was copied to another day or name is not what its manifest says."""
    run = publish(tmp_path, DAY, writing("one"), run_id="a").folder
    newer = tmp_path / "runs" / NEXT_DAY
    newer.mkdir()
    shutil.copytree(run, newer / "b")
    (tmp_path / "CURRENT").write_text(f"runs/{NEXT_DAY}/b\n")

    with pytest.raises(PublishError, match="the manifest of 2026-03-01/a"):
        current_run(tmp_path)


def test_publishing_replaces_runs_without_a_signature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key can be introduced: the next run is signed, live and read; a rerun of it is the same."""
    monkeypatch.delenv("RECSYS_MANIFEST_KEY")
    publish(tmp_path, DAY, writing("one"), run_id="a")
    monkeypatch.setenv("RECSYS_MANIFEST_KEY", KEY)
    with pytest.raises(PublishError, match="which RECSYS_MANIFEST_KEY asks for"):
        current_run(tmp_path)

    for _ in range(2):
        publish(tmp_path, NEXT_DAY, writing("two"), run_id="b")

    assert live_text(tmp_path) == "two"


@pytest.mark.parametrize("short", ["short", " " * 40 + "short"])
def test_a_short_key_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: str) -> None:
    """A key that could be guessed is a wrong setting for writers and readers, and is not shown."""
    publish(tmp_path, DAY, writing("one"), run_id="a")
    monkeypatch.setenv("RECSYS_MANIFEST_KEY", short)
    attempts = [
        lambda: publish(tmp_path, NEXT_DAY, writing("two"), run_id="b"),
        lambda: current_run(tmp_path),
        lambda: published_runs(tmp_path),
    ]

    for attempt in attempts:
        with pytest.raises(ConfigError, match="expected at least 32 characters, got 5") as caught:
            attempt()
        assert "short" not in str(caught.value)
