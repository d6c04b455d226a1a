"""The child that opens an index first: what it lets pass, what it refuses, what it survives."""

from __future__ import annotations

import ast
import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recsys.errors import ArtifactError
from recsys.recommender.index import IndexConfig, ItemIndex, child, child_program
from recsys.recommender.index.child import check_in_child
from recsys.recommender.index.store import VectorStore

sys.path.insert(0, str(Path(__file__).parents[1] / "torture"))

import hostile_index

KINDS = hostile_index.KINDS


def data_of(kind: str) -> bytes:
    """The bytes of a small sound index."""
    return bytes(hostile_index.sound_index(kind).store.to_bytes())


@pytest.mark.parametrize("kind", KINDS)
def test_sound_indexes_pass(kind: str, tmp_path: Path) -> None:
    """An index that a child opened first answers as it did before."""
    index = hostile_index.sound_index(kind)
    index.save(tmp_path / "index")
    opened = ItemIndex.load(
        tmp_path / "index", model_fingerprint=index.model_fingerprint, in_child=True
    )

    queries = np.eye(8, dtype=np.float32)
    for before, after in zip(index.search(queries, 5), opened.search(queries, 5), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(("num_items", "kind"), [(1, "exact"), (1, "hnsw"), (300, "hnsw")])
def test_graphs_of_any_height_pass(num_items: int, kind: str) -> None:
    """One vector, and graphs of several levels, are sound."""
    vectors = np.random.default_rng(1).standard_normal((num_items, 4)).astype(np.float32)
    config = IndexConfig(kind=kind, hnsw_m=4)
    store = VectorStore.build(kind, vectors, config=config, seed=0)

    check_in_child(kind, bytes(store.to_bytes()), num_items=num_items, dim=4)


@pytest.mark.parametrize("mutation", hostile_index.MUTATIONS)
def test_hostile_bytes_are_refused_or_answered(mutation: str, tmp_path: Path) -> None:
    """Whatever the bytes do to faiss, a job ends with one line or gets an index that answers."""
    number = hostile_index.MUTATIONS.index(mutation)
    rng = random.Random(number)  # noqa: S311  not for secrets
    end = hostile_index.open_hostile(tmp_path / "index", rng, KINDS[number % 3], mutation)

    refused = {"refused by the parent", "refused by the child", "killed the child"}
    assert end in refused | {"accepted"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda _: b"", "got: 0 bytes"),
        (lambda data: b"IwFl" + data[4:], "b'IwFl' of shape"),
        (lambda data: data[:8] + (1 << 40).to_bytes(8, "little") + data[16:], "1099511627776"),
        (lambda data: data[:33] + b"\1" + data[34:], "metric 1"),
        (lambda data: data[:32] + b"\0" + data[33:], "of shape"),
        (lambda data: data[:1000], "got: 1000 bytes where its vectors take 6437"),
    ],
)
def test_headers_are_read_before_anything_else(
    damage: Callable[[bytes], bytes], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Class, shape, metric and length cost no process."""
    monkeypatch.setattr(child.subprocess, "run", lambda *_, **__: pytest.fail("a process"))

    with pytest.raises(ArtifactError, match=message):
        check_in_child("exact", damage(data_of("exact")), num_items=200, dim=8)


def test_what_is_not_finite_or_not_there_is_told() -> None:
    """The reason of the child comes through in one line."""
    data = bytearray(data_of("exact"))
    data[-4:] = np.float32("nan").tobytes()

    with pytest.raises(ArtifactError, match="got: vectors that are not finite; build") as caught:
        check_in_child("exact", bytes(data), num_items=200, dim=8)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("program", "limit_s", "message"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 600, "with SIGSEGV"),
        ("import sys; sys.exit(1)", 600, "with code 1"),
        ("import time; time.sleep(600)", 1, "took more than 1 s"),
    ],
)
def test_a_child_that_dies_or_hangs_is_a_refusal(
    program: str, limit_s: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash, another end and an endless loop of the child are errors of the artifact."""
    path = tmp_path / "program.py"
    path.write_text(program)
    monkeypatch.setattr(child_program, "__file__", str(path))
    monkeypatch.setattr(child_program, "seconds_for", lambda _: limit_s)

    with pytest.raises(ArtifactError, match=message):
        check_in_child("exact", data_of("exact"), num_items=200, dim=8)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of the address space")
def test_limits_hold_in_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the limits are set no memory beyond the file's, no file and no secret can be had."""
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2")
    path = tmp_path / "program.py"
    source = Path(child_program.__file__).read_text().partition('if __name__ == "__main__"')[0]
    path.write_text(
        source + "import os\n"
        "found = ['MLFLOW_TRACKING_PASSWORD' in os.environ]\n"
        "_set_limits(1000)\n"
        "for attempt in (lambda: bytearray(1 << 30), lambda: open('/etc/passwd')):\n"
        "    try:\n"
        "        attempt()\n"
        "    except (MemoryError, OSError) as error:\n"
        "        found.append(type(error).__name__)\n"
        "sys.stdout.write(str(found))\n"
        "sys.exit(REFUSED)\n"
    )
    monkeypatch.setattr(child_program, "__file__", str(path))

    with pytest.raises(ArtifactError, match=r"\[False, 'MemoryError', 'OSError'\]"):
        check_in_child("exact", data_of("exact"), num_items=200, dim=8)


def test_the_program_imports_only_faiss_and_numpy() -> None:
    """The child starts fast: nothing of this project, and no large library, is imported there."""
    tree = ast.parse(Path(child_program.__file__).read_text())
    names = {
        (alias.name if isinstance(node, ast.Import) else str(node.module)).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }

    assert names - sys.stdlib_module_names == {"faiss", "numpy"}
