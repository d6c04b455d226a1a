"""Numbers as text."""

from __future__ import annotations

import pytest

from recsys.reporting.formats import duration, signed_percent


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0049, "4.9 ms"),
        (0.0951, "0.10 s"),
        (9.99, "9.99 s"),
        (9.996, "10.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 00 min"),
        (7384.0, "2 h 03 min"),
    ],
)
def test_durations_round_within_their_unit(seconds: float, text: str) -> None:
    """No duration is shown as 60 seconds or 60 minutes."""
    assert duration(seconds) == text


def test_changes_show_their_sign() -> None:
    """A rise and a fall cannot be mixed up."""
    assert [signed_percent(value) for value in (0.3521, -0.3521)] == ["+35.2%", "-35.2%"]
