"""Stray quotes in CSV: no row is swallowed without a word, and no sound file is refused."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.origin import Origin
from recsys.datasets.reading import csv_quotes
from recsys.datasets.reading.csv_quotes import check_quotes
from recsys.datasets.reading.tables import read_table
from recsys.errors import DataError

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
COLUMNS = ("transaction_id", "event_time", "merchant", "amount")


def _rows(number: int, rng: random.Random) -> list[list[str]]:
    names = ("Joe's Diner", '5" pan', "Ann, Inc.", "two\nlines", "", 'the "best"', "plain")
    return [
        [f"t{row:05}", f"2026-01-{1 + row % 28:02}T10:00:00Z", rng.choice(names), f"{row}.50"]
        for row in range(number)
    ]


def _written(rows: list[list[str]], *, quoting: int = csv.QUOTE_MINIMAL) -> str:
    sink = io.StringIO(newline="")
    csv.writer(sink, lineterminator="\n", quoting=quoting).writerows([COLUMNS, *rows])
    return sink.getvalue()


@given(st.integers(0, 2**32), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_what_a_csv_writer_wrote_is_read(
    tmp_path_factory: pytest.TempPathFactory, seed: int, quoting: int
) -> None:
    """Quotes, commas and line breaks in fields that are quoted well are no fault."""
    rows = _rows(40, random.Random(seed))  # noqa: S311  no secrets
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_text(_written(rows, quoting=quoting))

    assert list(zip(*read_table(path).to_pydict().values(), strict=True)) == [
        tuple(value if value or quoting == csv.QUOTE_ALL else None for value in row) for row in rows
    ]


@given(st.integers(0, 2**32), st.integers(1, 3), st.booleans())
def test_a_stray_quote_swallows_no_row_without_a_word(
    tmp_path_factory: pytest.TempPathFactory, seed: int, num_strays: int, at_end: bool
) -> None:
    """Names that begin with a quote, and some that end with one: refused, or all rows are there."""
    rng = random.Random(seed)  # noqa: S311  no secrets
    lines = [",".join([*row[:2], f"m{row[0][-2:]}", row[3]]) for row in _rows(60, rng)]
    for number, place in enumerate(rng.sample(range(60), num_strays)):
        fields = lines[place].split(",")
        stray = f'{fields[2]}"' if at_end and number % 2 else f'"{fields[2]}'
        lines[place] = ",".join([*fields[:2], stray, fields[3]])
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")

    said, num_rows = "", 0
    try:
        num_rows = read_table(path).num_rows
    except DataError as error:
        said = str(error)
    assert ("quote" in said) != (num_rows == 60)
    assert not any(line.split(",")[2].strip('"') in said.split() for line in lines)


@pytest.mark.parametrize("block_bytes", [40, 64, 1000, 2**20])
def test_blocks_of_any_size_show_the_same_fields(
    monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    """Where a block ends changes neither what is accepted nor the line that is named."""
    sound = _written(_rows(30, random.Random(1)))  # noqa: S311  no secrets
    monkeypatch.setattr(csv_quotes, "_BLOCK_BYTES", block_bytes)
    check_quotes(io.BytesIO(sound.encode()), Origin(file="t.csv"), ",")

    spoilt = "a,b\n" + "1,x\n" * 20 + '1,"x" y\n' + "1,x\n" * 20
    with pytest.raises(DataError, match="begins in line 22"):
        check_quotes(io.BytesIO(spoilt.encode()), Origin(file="t.csv"), ",")


def test_prose_of_two_lines_is_no_swallowed_row(tmp_path: Path) -> None:
    """A description with commas and line breaks is read, though it has as many as a row."""
    path = tmp_path / "t.csv"
    path.write_text('id,text,price\n10,plain,1.5\n20,"Soft, red\nand warm",2.5\n30,plain,3.5\n')

    assert read_table(path)["text"].to_pylist() == ["plain", "Soft, red\nand warm", "plain"]
