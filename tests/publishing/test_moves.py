"""The way back: a rollback undoes the last move of the pointer, whatever made it."""

from __future__ import annotations

from pathlib import Path

import pytest
from agreeing_outputs import live_text, writing
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import ArtifactError, HeldError, PublishError
from recsys.publishing import live_run, publish, published_runs, rollback
from recsys.publishing.moves import MOVES_NAME

DAY = "2026-03-01"


def test_a_rollback_to_a_run_is_undone_by_the_next(tmp_path: Path) -> None:
    """After `--to` a held run, the way back leads to what was live before, and then further."""
    for name in ("a", "b"):
        publish(tmp_path, DAY, writing(name), run_id=name)
    publish(tmp_path, DAY, writing("held"), run_id="held", hold=lambda _: "bad")
    assert live_text(tmp_path) == "b"
    rollback(tmp_path, "held")
    assert live_text(tmp_path) == "held"
    rollback(tmp_path, None)
    assert live_text(tmp_path) == "b"
    rollback(tmp_path, None)
    assert live_text(tmp_path) == "a"
    with pytest.raises(PublishError, match="was live before the live one"):
        rollback(tmp_path, None)
    assert live_text(tmp_path) == "a"


@settings(max_examples=40)
@given(steps=st.lists(st.sampled_from(["publish", "hold", "back", 0, 1, 2, 3]), max_size=12))
def test_any_moves_agree_with_a_stack(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str | int]
) -> None:
    """Publishing and rolling back to a run push, rolling back pops."""
    root = tmp_path_factory.mktemp("moves")
    stored: list[str] = []
    stack: list[str] = []
    for number, step in enumerate(steps):
        name = f"r{number}"
        if step in ("publish", "hold"):
            hold = None if step == "publish" else (lambda _: "bad")
            publish(root, DAY, writing(name), run_id=name, hold=hold, keep=99)
            stored.append(name)
            stack += [name] if step == "publish" else []
        elif step == "back":
            if len(stack) > 1:
                rollback(root, None)
                stack.pop()
        elif stored:
            name = stored[int(step) % len(stored)]
            rollback(root, name)
            stack += [name] if not stack or stack[-1] != name else []
        live = live_run(root) if root.is_dir() else None
        assert (live.manifest.run_id if live else None) == (stack[-1] if stack else None)


@pytest.mark.parametrize("text", [None, "", "nonsense\n", "runs/2026-03-01/../../x\n"])
def test_without_a_list_of_moves_the_order_of_publication_holds(
    tmp_path: Path, text: str | None
) -> None:
    """Outputs of an earlier version, or a damaged list, go back to what was published before."""
    for name in ("a", "b", "c"):
        publish(tmp_path, DAY, writing(name), run_id=name)
    (tmp_path / MOVES_NAME).unlink()
    if text is not None:
        (tmp_path / MOVES_NAME).write_text(text)
    for expected in ("b", "a"):
        rollback(tmp_path, None)
        assert live_text(tmp_path) == expected


def test_runs_that_are_gone_are_passed_over(tmp_path: Path) -> None:
    """What is not stored any more cannot become live: the way back leads to what is."""
    for name in ("a", "b", "c", "d"):
        publish(tmp_path, DAY, writing(name), run_id=name, keep=2)
    assert [run.manifest.run_id for run in published_runs(tmp_path)] == ["c", "d"]
    rollback(tmp_path, None)
    assert live_text(tmp_path) == "c"
    with pytest.raises(PublishError, match="status"):
        rollback(tmp_path, None)


def test_a_hold_names_paths_that_exist(tmp_path: Path) -> None:
    """A reason that names a file of the draft names it in the stored run; a refusal, its name."""
    run = publish(
        tmp_path, DAY, writing("x"), run_id="x", hold=lambda folder: f"{folder / 'b.txt'}: bad"
    )
    assert Path(run.manifest.held.partition(": ")[0]).is_file()

    def refuse(folder: Path) -> None:
        raise ArtifactError(f"{folder / 'b.txt'}: expected more")

    with pytest.raises(HeldError, match=r"^b\.txt: expected more; not published$"):
        publish(tmp_path, DAY, writing("y"), run_id="y", audit=refuse)
