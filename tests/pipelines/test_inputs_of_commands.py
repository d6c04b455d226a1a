"""Inputs as shops and banks really have them, through the commands: told well, or read exactly."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shop import run_main

NUM_ROWS = 300
START = datetime(2026, 1, 1, tzinfo=UTC)
CARD = "4111111111111111"


def _shop_log() -> pa.Table:
    rows = range(NUM_ROWS)
    return pa.table(
        {
            "user_id": [f"u{row % 20:03}" for row in rows],
            "item_id": [f"i{row * 7 % 25:03}" for row in rows],
            "event_time": pa.array([START + timedelta(hours=row) for row in rows]),
        }
    )


def _bank_log() -> pa.Table:
    rows = range(NUM_ROWS)
    return pa.table(
        {
            "transaction_id": [f"t{row:06}" for row in rows],
            "account_id": [f"a{row % 20:03}" for row in rows],
            "event_time": pa.array([START + timedelta(hours=row) for row in rows]),
            "amount": [1.0 + row % 50 for row in rows],
        }
    )


def _config(folder: Path, first: str, *more: str) -> Path:
    path = folder / "c.toml"
    path.write_text("\n".join([f"[data]\n{first}", *more, "[tracking]\nenabled = false\n"]))
    return path


class Told:
    """What a command said, and how it ended."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> None:
        self.code = run_main(*arguments)
        said = capsys.readouterr()
        self.err, self.out = said.err, said.out
        self.status: dict[str, object] = json.loads(said.out.splitlines()[-1])


def _validate(
    capsys: pytest.CaptureFixture[str], folder: Path, file: str, *more: str, items: str = ""
) -> Told:
    first = f'interactions = "{file}"' + (f'\nitems = "{items}"' if items else "")
    return Told(capsys, "validate", _config(folder, first, *more))


def _validate_bank(
    capsys: pytest.CaptureFixture[str], folder: Path, file: str, *more: str, labels: str = ""
) -> Told:
    first = f'transactions = "{file}"' + (f'\nlabels = "{labels}"' if labels else "")
    return Told(capsys, "validate-transactions", _config(folder, first, *more))


def _csv(table: pa.Table, *, header: bool = True, sep: str = ",") -> str:
    lines = [
        sep.join(one.isoformat() if isinstance(one, datetime) else str(one) for one in row.values())
        for row in table.to_pylist()
    ]
    return "\n".join([*([sep.join(table.column_names)] if header else []), *lines]) + "\n"


def test_a_csv_without_a_header_shows_nothing_of_its_first_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A card number in the first row reaches neither stream; the missing header is named."""
    bank = _bank_log().set_column(1, "account_id", pa.array([CARD] * NUM_ROWS))
    shop = _shop_log().set_column(0, "user_id", pa.array(["jo@example.org"] * NUM_ROWS))
    (tmp_path / "tx.csv").write_text(_csv(bank, header=False))
    (tmp_path / "log.csv").write_text(_csv(shop, header=False))
    (tmp_path / "items.csv").write_text(f"{CARD},title\nx,y\n")
    (tmp_path / "labels.csv").write_text(f"{CARD},1\n")
    (tmp_path / "sound.csv").write_text(_csv(_bank_log()))
    (tmp_path / "shop.csv").write_text(_csv(_shop_log()))

    found = [
        _validate_bank(capsys, tmp_path, "tx.csv"),
        _validate_bank(capsys, tmp_path, "sound.csv", labels="labels.csv"),
        _validate(capsys, tmp_path, "log.csv"),
        _validate(capsys, tmp_path, "shop.csv", items="items.csv"),
    ]

    for reported in found:
        assert reported.code == 3
        for secret in (CARD, "jo@example", "t000000", "2026-01-01T"):
            assert secret not in reported.err + reported.out
    assert "if the file has no header, write one" in found[0].err
    assert run_main("init", "--interactions", tmp_path / "log.csv", "--out", tmp_path / "o") == 3
    assert "jo@example" not in "".join(capsys.readouterr())


def _text(column: pa.ChunkedArray, old: bytes, new: bytes) -> pa.Array:
    """Text in which a value is replaced by bytes that no text has."""
    values = [new if one.encode() == old else one.encode() for one in column.to_pylist()]
    return pa.Array.from_buffers(pa.string(), len(values), pa.array(values, pa.binary()).buffers())


def test_text_that_is_not_utf8_is_refused_wherever_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ids, features, lists, titles, categories and labels: the column and the row are named."""
    bad = pa.array([b"caf\xe9", b"ok"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 2, bad.buffers())
    shop, items = _shop_log(), {"item_id": ["i000", "i007"]}
    pq.write_table(shop, tmp_path / "log.parquet")
    pq.write_table(shop.set_column(0, "user_id", _text(shop["user_id"], b"u003", b"u\xe9")),
                   tmp_path / "users.parquet")  # fmt: skip
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), text)
    columns = {"title": text, "category": text.dictionary_encode(), "tags": lists}
    kinds = {"category": "categorical", "tags": "multi_hot"}

    reported = _validate(capsys, tmp_path, "users.parquet")
    assert (reported.code, reported.status["column"]) == (3, "user_id")
    assert "the first in row 4" in reported.err
    for name, column in columns.items():
        pq.write_table(pa.table({**items, name: column}), tmp_path / "items.parquet")
        kind = f'[features.items]\n{name} = "{kinds[name]}"' if name in kinds else ""
        reported = _validate(capsys, tmp_path, "log.parquet", kind, items="items.parquet")
        assert (reported.code, reported.status["column"]) == (3, name)
        assert "in row 1" in reported.err
    bank = _bank_log()
    pq.write_table(bank.set_column(1, "account_id", _text(bank["account_id"], b"a003", b"a\xe9")),
                   tmp_path / "tx.parquet")  # fmt: skip
    assert "'account_id': expected text in UTF-8" in _validate_bank(
        capsys, tmp_path, "tx.parquet").err  # fmt: skip


def test_what_a_file_is_is_told_where_its_name_says_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """CSV under another name, other formats, UTF-16 and another delimiter: each with its remedy."""
    text = _csv(_shop_log())
    pq.write_table(_shop_log(), tmp_path / "x.csv")
    (tmp_path / "log.tsv").write_text(text.replace(",", "\t"))
    (tmp_path / "log.txt").write_text(text)
    (tmp_path / "log.csv.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(60))
    (tmp_path / "utf16.csv").write_text(text, encoding="utf-16")
    (tmp_path / "semi.csv").write_text(text.replace(",", ";").replace("i000", "i0,5"))
    (tmp_path / "upper.csv").write_text(
        text.replace("user_id", "USER_ID").replace("_time", "_Time")
    )
    expected = {
        "log.tsv": "got text; rename a CSV file to *.csv, and set [data.csv] delimiter",
        "log.txt": "got text; rename a CSV file to *.csv",
        "log.csv.zst": "got Zstandard; unpack it",
        "utf16.csv": "got text in UTF-16; save it as UTF-8",
        "semi.csv": 'set [data.csv] delimiter = ";"',
        "x.csv": "got Parquet; rename it to *.parquet",
    }

    for name, says in expected.items():
        reported = _validate(capsys, tmp_path, name)
        assert reported.code == 3
        assert says in reported.err
    assert _validate(capsys, tmp_path, "upper.csv").code == 0


def test_a_column_of_a_wrong_type_is_called_what_the_config_calls_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A title is no feature, an epoch no id: the setting that is meant is in the remedy."""
    pq.write_table(_shop_log(), tmp_path / "log.parquet")
    pq.write_table(pa.table({"item_id": ["i000"], "title": [["x"]]}), tmp_path / "items.parquet")
    rows = [f"u,i,176722765{second % 10}.0" for second in range(20)]
    (tmp_path / "epoch.csv").write_text("user_id,item_id,event_time\n" + "\n".join(rows) + "\n")
    (tmp_path / "half.csv").write_text("user_id,item_id,event_time\nu,i,1767227652.5\n")
    unit = '[columns]\nevent_time_unit = "s"'

    reported = _validate(capsys, tmp_path, "log.parquet", items="items.parquet")
    assert "name another column in [data] item_title" in reported.err
    assert "feature" not in reported.err
    assert _validate(capsys, tmp_path, "epoch.csv", unit).code == 0
    assert "whole seconds since 1970, got 1 with a fraction" in _validate(
        capsys, tmp_path, "half.csv", unit).err  # fmt: skip


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_an_epoch_in_milliseconds_is_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], unit: str
) -> None:
    """Neither times in 1970 nor in the year 55,000 pass, and none is a traceback."""
    rows = [f"u{row % 9},i{row % 5},{1767225600000 + row * 3_600_000}" for row in range(50)]
    (tmp_path / "e.csv").write_text("user_id,item_id,event_time\n" + "\n".join(rows) + "\n")

    reported = _validate(capsys, tmp_path, "e.csv", f'[columns]\nevent_time_unit = "{unit}"')

    assert reported.code == 3
    assert 'set [columns] event_time_unit = "ms"' in reported.err
    assert _validate(capsys, tmp_path, "e.csv", '[columns]\nevent_time_unit = "ms"').code == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda us: [-(2**60), *us[1:]], "times of the years 1 to 9999, got 1 others"),
        (lambda us: [253402214400000000, *us[1:]], "no event more than 300 s after"),
        (lambda us: [2**60, *us[1:]], "times of the years 1 to 9999, got 1 others"),
    ],
)
def test_a_time_that_no_date_can_have_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable, says: str
) -> None:
    """A corrupt row, the end of time: refused by the shop, set aside and counted by the bank."""
    for name, log in (("log", _shop_log()), ("tx", _bank_log())):
        counts = change(log["event_time"].cast(pa.int64()).to_pylist())
        times = pa.array(counts, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
        place = log.column_names.index("event_time")
        pq.write_table(log.set_column(place, "event_time", times), tmp_path / f"{name}.parquet")

    reported = _validate(capsys, tmp_path, "log.parquet")
    assert reported.code == 3
    assert says in reported.err
    assert len(reported.err.splitlines()) < 6
    reported = _validate_bank(capsys, tmp_path, "tx.parquet")
    assert reported.code == 0
    assert sum(reported.status["num_quarantined"].values()) == 1


def test_one_row_of_1970_is_set_aside_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing time written as 0 is neither a shop's nor a bank's first day."""
    for name, log in (("log", _shop_log()), ("tx", _bank_log())):
        counts = log["event_time"].cast(pa.int64()).to_pylist()
        times = pa.array([*counts[:5], 0, *counts[6:]], pa.int64()).cast(
            pa.timestamp("us", tz="UTC")
        )
        place = log.column_names.index("event_time")
        pq.write_table(log.set_column(place, "event_time", times), tmp_path / f"{name}.parquet")

    reported = _validate(capsys, tmp_path, "log.parquet")
    assert (reported.code, reported.status["rows"], reported.status["left_out"]["far_before"]) == (
        0, NUM_ROWS, 1)  # fmt: skip
    assert "1 interactions lie far before all others" in reported.err
    reported = _validate_bank(capsys, tmp_path, "tx.parquet")
    assert (reported.code, reported.status["num_quarantined"]["far_before"]) == (0, 1)
    assert reported.status["first_event"].startswith("2026-01-01")


def test_a_folder_reconciles_in_the_status_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Entries found are read or passed over by name, rows in are used or left out by reason."""
    folder, log = tmp_path / "log", _shop_log()
    folder.mkdir()
    quantity = pa.array([-1 if row % 10 == 0 else 2 for row in range(NUM_ROWS)])
    log = log.append_column("quantity", quantity)
    pq.write_table(log.slice(0, 100), folder / "a.parquet")
    pq.write_table(log.slice(100), folder / "b.PARQUET")
    (folder / "_SUCCESS").touch()
    (folder / ".a.parquet.crc").write_text("x")

    reported = _validate(capsys, tmp_path, "log", '[data.where]\ninteractions = "quantity > 0"')

    assert reported.code == 0
    found = reported.status["inputs"]["interactions"]
    assert found["found"] == found["read"] + found["passed_over"] == 4
    assert found["such_as"] == [".a.parquet.crc", "_SUCCESS"]
    assert (reported.status["rows"], reported.status["num_interactions"]) == (NUM_ROWS, 270)
    assert reported.status["left_out"]["filtered"] == found["filtered_rows"] == 30
    assert (
        "2 files read of 4 entries; no data by their names: .a.parquet.crc, _SUCCESS"
        in reported.err
    )
    assert "30 rows left out by data.where" in reported.err


@pytest.mark.parametrize(
    "empty",
    [
        pd.DataFrame(columns=["transaction_id", "is_fraud"]),
        pd.DataFrame({"transaction_id": [], "is_fraud": []}),
        pd.DataFrame({"transaction_id": pd.array([], "Int32"), "is_fraud": pd.array([], "string")}),
    ],
    ids=["object", "double", "others"],
)
def test_a_table_of_labels_without_rows_is_a_quiet_day(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], empty: pd.DataFrame
) -> None:
    """Whatever types a writer guessed that saw no row."""
    pq.write_table(_bank_log(), tmp_path / "tx.parquet")
    empty.to_parquet(tmp_path / "labels.parquet")

    reported = _validate_bank(capsys, tmp_path, "tx.parquet", labels="labels.parquet")

    assert reported.code == 0
    assert "labels: 0" in reported.err


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([Decimal(row % 20 + 2**70) for row in range(NUM_ROWS)], pa.decimal128(38, 0)),
        pa.array([uuid.UUID(int=row % 20).bytes for row in range(NUM_ROWS)], pa.binary(16)).cast(
            pa.uuid()
        ),
    ],
    ids=["decimal", "uuid"],
)
def test_whole_decimals_and_uuids_are_ids(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ids: pa.Array
) -> None:
    """They have one text each, so they are read as that."""
    pq.write_table(_shop_log().set_column(0, "user_id", ids), tmp_path / "log.parquet")

    reported = _validate(capsys, tmp_path, "log.parquet")

    assert (reported.code, reported.status["num_users"]) == (0, 20)


@pytest.mark.parametrize("command", ["train-recommender", "train-fraud"])
def test_a_seed_that_a_library_cannot_hold_is_a_wrong_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """Beyond 32 bits, before anything is read."""
    recommender = command == "train-recommender"
    first = 'interactions = "x.parquet"' if recommender else 'transactions = "x.parquet"'
    setting = "training.seed" if recommender else "seed"

    reported = Told(capsys, command, _config(tmp_path, first), "--set", f"{setting}={2**32}")

    assert (reported.code, reported.status["outcome"]) == (2, "FAILED")
    assert f"{setting}: expected an integer less than 4294967296" in reported.err


def test_paths_of_set_start_at_the_working_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the file start at its folder, as before; each setting that is a path alike."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "here").mkdir()
    config = _config(tmp_path / "configs", 'interactions = "missing.parquet"')
    pq.write_table(_shop_log(), tmp_path / "here" / "log.parquet")
    monkeypatch.chdir(tmp_path / "here")

    assert Told(capsys, "validate", config).status["file"] == str(
        tmp_path / "configs" / "missing.parquet")  # fmt: skip
    assert Told(capsys, "validate", config, "--set", "data.interactions=log.parquet").code == 0
    table = 'data={interactions = "log.parquet", users = "../here/nobody.parquet"}'
    reported = Told(capsys, "validate", config, "--set", table)
    assert reported.status["file"] == str(tmp_path / "here" / "nobody.parquet")
