"""Lists on the disk: what is written reads back, and the audit notices each offence."""

from __future__ import annotations

import dataclasses
import resource
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.errors import ArtifactError, PublishError
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.lists import list_files as lists_module
from recsys.recommender.lists.audit import audit_recommendations, audit_similar_items
from recsys.recommender.lists.list_files import (
    ListsSummary,
    RankedLists,
    similar_items_schema,
    write_recommendations,
    write_similar_items,
)
from recsys.recommender.ranking.ranker import NO_ITEM
from recsys.schema import recommendations_schema

K = 4
ITEM_IDS = Vocabulary(pa.array([f"item-{number:02}" for number in range(40)]))


def random_lists(num_users: int, *, seed: int, first_user: int = 0) -> RankedLists:
    """Correct lists of 0 to K items, most of them full."""
    rng = np.random.default_rng(seed)
    items = np.argsort(rng.random((num_users, 40)), axis=1)[:, :K]
    scores = -np.sort(-rng.standard_normal((num_users, K)).astype(np.float32))
    lengths = rng.choice([0, 1, K - 1, K], size=num_users, p=[0.1, 0.1, 0.1, 0.7])
    missing = np.arange(K) >= lengths[:, None]
    return RankedLists(
        owner_ids=pa.array(range(first_user, first_user + num_users)),
        items=np.where(missing, NO_ITEM, items),
        scores=np.where(missing, -np.inf, scores),
        sources=pa.array(rng.choice(["history", "popularity"], num_users), type=pa.string()),
    )


def write(path: Path, blocks: list[RankedLists]) -> ListsSummary:
    """Write lists of users with int64 ids."""
    return write_recommendations(path, blocks, user_id_type=pa.int64(), item_ids=ITEM_IDS)


def expected_rows(blocks: list[RankedLists]) -> list[dict[str, object]]:
    """The rows of the lists, one place at a time."""
    return [
        {
            "user_id": block.owner_ids[row].as_py(),
            "item_id": ITEM_IDS.terms[int(block.items[row, place])].as_py(),
            "rank": place + 1,
            "score": float(block.scores[row, place]),
            "source": block.sources[row].as_py(),
        }
        for block in blocks
        for row in range(len(block.items))
        for place in range(K)
        if block.items[row, place] != NO_ITEM
    ]


@given(sizes=st.lists(st.integers(0, 20), max_size=6), row_group_rows=st.integers(1, 60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_reads_back(
    sizes: list[int], row_group_rows: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The file has the rows of the lists in order, counted, in row groups of bounded size."""
    path = tmp_path_factory.mktemp("lists") / "lists.parquet"
    blocks = [random_lists(size, seed=n, first_user=100 * n) for n, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists_module, "_ROW_GROUP_ROWS", row_group_rows)
        summary = write(path, blocks)

    file = pq.ParquetFile(path, page_checksum_verification=True)
    groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    rows = expected_rows(blocks)
    lengths = [int((items != NO_ITEM).sum()) for block in blocks for items in block.items]
    assert file.read().to_pylist() == rows
    assert file.schema_arrow.equals(recommendations_schema(pa.int64(), pa.string()))
    assert all(group.num_rows <= row_group_rows for group in groups)
    assert all(group.column(0).compression == "ZSTD" for group in groups)
    assert (summary.num_lists, summary.num_rows) == (sum(sizes), len(rows))
    assert summary.num_empty_lists == lengths.count(0)
    assert summary.num_short_lists == sum(length < K for length in lengths)
    assert sum(summary.lists_by_source.values()) == sum(sizes)
    assert summary.lists_per_s == summary.num_lists / summary.duration_s
    audit_recommendations(path, k=K, summary=summary)


def test_sources_are_counted(tmp_path: Path) -> None:
    """The summary tells how many users got a list from what."""
    block = random_lists(3, seed=0)
    sources = pa.array(["features", "history", "history"])

    summary = write(tmp_path / "a.parquet", [dataclasses.replace(block, sources=sources)])

    assert summary.lists_by_source == {"features": 1, "history": 2}


def test_similar_items_read_back(tmp_path: Path) -> None:
    """Lists of items have their own columns and pass their own audit."""
    block = random_lists(6, seed=1)
    block = dataclasses.replace(block, owner_ids=ITEM_IDS.terms.slice(0, 6), sources=None)
    path = tmp_path / "similar.parquet"

    summary = write_similar_items(path, [block], item_ids=ITEM_IDS)

    assert pq.read_schema(path).equals(similar_items_schema(pa.string()))
    assert pq.read_table(path).num_rows == summary.num_rows == (block.items != NO_ITEM).sum()
    audit_similar_items(path, k=K, summary=summary)


def test_writing_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block is let go before the one after the next is made."""
    monkeypatch.setattr(lists_module, "_ROW_GROUP_ROWS", 50)
    alive: weakref.WeakSet[RankedLists] = weakref.WeakSet()
    most = 0

    def blocks() -> Iterator[RankedLists]:
        nonlocal most
        for number in range(20):
            block = random_lists(10, seed=number, first_user=100 * number)
            alive.add(block)
            most = max(most, len(alive))
            yield block
            del block

    write_recommendations(
        tmp_path / "a.parquet", blocks(), user_id_type=pa.int64(), item_ids=ITEM_IDS
    )

    assert most <= 2


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    """A file that exists is neither overwritten nor removed."""
    path = tmp_path / "lists.parquet"
    path.write_bytes(b"precious")

    with pytest.raises(PublishError, match="File exists"):
        write(path, [random_lists(2, seed=0)])

    assert path.read_bytes() == b"precious"


def test_a_failure_between_blocks_leaves_no_file(tmp_path: Path) -> None:
    """When making the lists fails, the error passes and no partial file looks like a whole one."""

    def blocks() -> Iterator[RankedLists]:
        yield random_lists(10, seed=0)
        raise ZeroDivisionError

    path = tmp_path / "lists.parquet"
    with pytest.raises(ZeroDivisionError):
        write_recommendations(path, blocks(), user_id_type=pa.int64(), item_ids=ITEM_IDS)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", [0, 100, 2000])
def test_a_full_disk_leaves_no_file(
    limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk takes no more, at the start, in the middle or at the end, nothing is left."""
    monkeypatch.setattr(lists_module, "_ROW_GROUP_ROWS", 50)
    blocks = [random_lists(20, seed=n, first_user=100 * n) for n in range(10)]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(PublishError, match=r"lists\.parquet: .*File too large"):
            write(tmp_path / "lists.parquet", blocks)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert list(tmp_path.iterdir()) == []


FULL = RankedLists(
    owner_ids=pa.array([1, 2, 3]),
    items=np.arange(12).reshape(3, 4),
    scores=np.tile(np.array([4, 3, 3, 1], np.float32), (3, 1)),
    sources=pa.array(["history"] * 3),
)


def changed(column: str, row: int, value: object) -> Callable[[pa.Table], pa.Table]:
    """A table with another value in one place."""

    def change(table: pa.Table) -> pa.Table:
        values = table.column(column).to_pylist()
        values[row] = value
        place = table.schema.get_field_index(column)
        field = table.schema.field(column)
        return table.set_column(place, field, pa.array(values, type=field.type))

    return change


def nullable(schema: pa.Schema) -> pa.Schema:
    """A schema that allows nulls."""
    return pa.schema([field.with_nullable(True) for field in schema])


@pytest.mark.parametrize("row_group_size", [3, 100])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed("rank", 0, 2), "row 0: expected ranks"),
        (changed("rank", 5, 3), "row 5: expected ranks"),
        (changed("rank", 6, 1), "row 6: expected ranks"),
        (changed("score", 6, np.nan), "row 6: expected a finite score"),
        (changed("score", 11, -np.inf), "row 11: expected a finite score"),
        (changed("score", 7, 3.5), "row 7: expected scores that do not increase"),
        (changed("item_id", 6, "item-04"), "row 6: expected distinct items"),
        (changed("user_id", 5, 1), "row 5: expected ranks"),
        (lambda table: table.cast(nullable(table.schema)), "source string not null, got user_id"),
        (lambda table: table.slice(0, 11), "expected 12 rows, got 11"),
        (lambda table: table.slice(1), "row 0: expected ranks"),
        (lambda table: pa.concat_tables([table, table.slice(0, 4)]), "one list an owner, got 1"),
        (lambda table: table.drop_columns("source"), "expected the columns"),
        (lambda table: table.rename_columns(["item_id", "x", "y", "z", "w"]), "the columns"),
        (
            lambda table: table.set_column(2, "rank", pc.cast(table["rank"], pa.int64())),
            "rank int32 not null",
        ),
    ],
)
def test_audit_notices(
    change: Callable[[pa.Table], pa.Table], message: str, row_group_size: int, tmp_path: Path
) -> None:
    """Each offence is refused with its row, wherever row groups begin."""
    path = tmp_path / "lists.parquet"
    summary = write(path, [FULL])
    table = pq.read_table(path)
    pq.write_table(table, path, row_group_size=row_group_size)
    audit_recommendations(path, k=K, summary=summary)

    pq.write_table(change(table), path, row_group_size=row_group_size)

    with pytest.raises(ArtifactError, match=message):
        audit_recommendations(path, k=K, summary=summary)


def test_audit_compares_with_what_was_declared(tmp_path: Path) -> None:
    """A short list passes only where the summary declares it, and a list must not exceed k."""
    path = tmp_path / "lists.parquet"
    summary = write(path, [FULL])

    with pytest.raises(ArtifactError, match="expected 1 lists of fewer than 4 items, got 0"):
        audit_recommendations(path, k=K, summary=dataclasses.replace(summary, num_short_lists=1))
    with pytest.raises(ArtifactError, match="expected 4 lists, got 3"):
        audit_recommendations(path, k=K, summary=dataclasses.replace(summary, num_lists=4))
    with pytest.raises(ArtifactError, match="a longer list"):
        audit_recommendations(path, k=3, summary=summary)
    with pytest.raises(ArtifactError, match="fewer than 5 items, got 3"):
        audit_recommendations(path, k=5, summary=summary)


def test_audit_notices_damaged_bytes(tmp_path: Path) -> None:
    """A changed byte anywhere in the pages is refused; so are a cut file and none at all."""
    path = tmp_path / "lists.parquet"
    summary = write(path, [random_lists(300, seed=0)])
    data = path.read_bytes()
    column = pq.ParquetFile(path).metadata.row_group(0).column(3)
    place = column.data_page_offset + column.total_compressed_size - 20

    for damaged in (
        data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :],
        data[:-100],
        b"",
    ):
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match="expected readable lists"):
            audit_recommendations(path, k=K, summary=summary)
    path.unlink()
    with pytest.raises(ArtifactError, match="expected readable lists"):
        audit_recommendations(path, k=K, summary=summary)
