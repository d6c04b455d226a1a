"""Kinds of evidence whose values are all alike do not count."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.fraud.fitting.silent_evidence import fit_audible_tails, silent_kinds
from recsys.fraud.scoring.tails import Tail, excess_of, surprise_of

KINDS = ("hour", "reconstruction_weekday", "category", "amount_high", "amount_low")


def evidence(seed: int = 0) -> np.ndarray:
    """A constant hour, a noisy weekday, a category that is rare now and then, two amounts."""
    rng = np.random.default_rng(seed)
    columns = [
        np.full(5_000, 0.0),
        np.log(7) + rng.normal(0, 0.05, 5_000),
        np.where(rng.random(5_000) < 0.01, 4.0, 0.1),
        rng.normal(0, 0.1, 5_000),
        np.zeros(5_000),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


@given(seed=st.integers(0, 1_000))
def test_what_is_never_half_as_likely_as_usual_is_silent(seed: int) -> None:
    """Constants and noise of a log probability are silent; rare terms and amounts are not."""
    assert silent_kinds(KINDS, evidence(seed)).tolist() == [True, True, False, False, True]


def test_silent_evidence_surprises_nobody() -> None:
    """No value of a silent kind has surprise or excess, those of the others keep theirs."""
    values = evidence()
    silent = silent_kinds(KINDS, values)
    tails = fit_audible_tails(values, silent)
    later = np.vstack([values, np.full((1, len(KINDS)), 1e6, dtype=np.float32)])
    surprise, excess = surprise_of(tails, later), excess_of(tails, later)
    assert not surprise[:, silent].any()
    assert not excess[:, silent].any()
    assert (surprise[-1, ~silent] > 10).all()


@given(value=st.floats(allow_nan=True, allow_infinity=True))
def test_a_silent_tail_takes_any_number(value: float) -> None:
    """Neither infinity nor NaN gets a surprise."""
    values = np.array([value])
    assert Tail.silent().surprise(values)[0] == 0
    assert Tail.silent().excess(values)[0] == 0
