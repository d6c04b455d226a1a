"""Origins: refusals in the user's own words, on one line."""

from __future__ import annotations

from recsys.datasets.origin import Origin, listing, one_line, reason_of


def test_a_refusal_is_one_line_with_file_and_column() -> None:
    """Line breaks in what was found do not break the message."""
    refusal = Origin(file="a.csv", column="b").refusal(expected="x", got="y\n z", remedy="do w")

    assert str(refusal) == "a.csv: column 'b': expected x, got y z; do w"


def test_long_texts_and_lists_are_cut() -> None:
    """A message stays readable whatever the file holds."""
    assert one_line("a" * 300) == "a" * 240 + "..."
    assert listing(["a", "b"]) == "a, b"
    assert listing(list("abcdefghijklmn")).endswith("k, l and 2 more")


def test_a_missing_key_is_said_to_be_missing() -> None:
    """A key alone would read as if it were what came."""
    assert reason_of(KeyError("kinds_shares")) == "one without 'kinds_shares'"
    assert reason_of(ValueError("two\nlines")) == "two lines"
