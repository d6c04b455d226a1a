"""Evidence from confirmed labels, each label used only from the moment it is known.

A label becomes known a fixed delay after its transaction, and is forgotten after it was known for
the length of the memory. Only the last fraud of each account is remembered for good. Everything
here is a count, a rate or an age over the labels that are remembered when a transaction happens, so
that it does not depend on how long the log is. Counterparties get a posterior of their risk, with
the rate of all frauds within the memory as the prior.

A stolen card is used for unusual amounts at many counterparties, and each of these gets a fraud. A
counterparty that has itself turned bad has frauds of ordinary amounts, and hardly any legitimate
transaction among them. So ordinary frauds are counted apart, and as runs: an unbroken series of
them, the age of which tells how long the counterparty has been bad.

Shapes: N transactions, L kinds of label evidence, A accounts, M counterparties, W windows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recsys.arrays import BoolArray, Float32Array, Float64Array, Int8Array, Int32Array, Int64Array
from recsys.compiled import compiled
from recsys.errors import ConfigError, DataError

FRAUD, LEGITIMATE, UNLABELLED = 1, 0, -1

WINDOW_DAYS = (1, 7, 30)
"""Lengths of the windows in which labels are counted; all end a delay before the transaction."""

LABEL_EVIDENCE = (
    "base_rate",
    *(f"counterparty_labels_{days}d" for days in WINDOW_DAYS),
    *(f"counterparty_frauds_{days}d" for days in WINDOW_DAYS),
    *(f"counterparty_risk_{days}d" for days in WINDOW_DAYS),
    *(f"counterparty_ordinary_risk_{days}d" for days in WINDOW_DAYS),
    *(f"account_frauds_{days}d" for days in WINDOW_DAYS),
    "counterparty_run_frauds",
    "counterparty_run_age_days",
    "counterparty_run_gap_days",
    "counterparty_ordinary_age_days",
    "counterparty_legitimate_age_days",
    "account_fraud_age_days",
)
"""Names of the columns.

base_rate: share of frauds among all labels within the memory, shrunk towards 1 in 100.
counterparty_labels, counterparty_frauds: how many are known of the window.
counterparty_risk: posterior mean of the share of frauds.
counterparty_ordinary_risk: the same of frauds of ordinary amounts.
account_frauds: frauds of the account that are known of the window.
counterparty_run_frauds: ordinary frauds since the last legitimate transaction.
counterparty_run_age_days: days since the first of them; NaN where there is none.
counterparty_run_gap_days: days between it and the legitimate transaction before; NaN without both.
counterparty_ordinary_age_days, counterparty_legitimate_age_days, account_fraud_age_days: days since
the last one that is remembered; NaN where there is none.
"""

ORDINARY_EXCESS = 1.0
"""Nats of amount excess from which a fraud is no longer one of an ordinary amount."""

_PRIOR_LABELS = 100.0  # of which 1 is a fraud: the base rate before there are labels
_STRENGTH = 1.0  # weight of the base rate in the risk of a counterparty, as a number of labels
_NUM_WINDOWS = len(WINDOW_DAYS)
# Places of what is counted in a window, and of the rows that are kept of a counterparty.
_LABELS, _FRAUDS, _ORDINARY = range(3)
_RUN_START, _LAST_ORDINARY, _LAST_LEGITIMATE = range(3)


class _Rows(NamedTuple):
    """Transactions in the order of time."""

    account: Int64Array  # (N,)
    counterparty: Int64Array  # (N,), -1 where there is none
    day: Float64Array  # (N,)
    is_ordinary: BoolArray  # (N,)
    label: Int8Array  # (N,)


class _Known(NamedTuple):
    """Sums over the labels known so far; the last counterparty is no one and stays empty."""

    left: Int64Array  # (W + 1,): rows that have left each window, and the memory
    total: Float64Array  # (2,): labels and frauds
    counts: Int32Array  # (M + 1, W, 3)
    run: Int32Array  # (M + 1,)
    rows: Int64Array  # (M + 1, 3): -1 for none
    next_ordinary: (
        Int64Array  # (N,): the ordinary fraud of the counterparty after an ordinary fraud
    )
    account_frauds: Int32Array  # (A, W)
    account_row: Int64Array  # (A,): the last fraud, -1 for none


def label_evidence(
    *,
    account_N: Int64Array,
    counterparty_N: Int64Array,
    day_N: Float64Array,
    amount_excess_N: Float32Array,
    label_N: Int8Array,
    delay_days: float,
    memory_days: float,
) -> Float32Array:
    """Label evidence of each transaction, from the labels remembered at its time.

    A label is known at a transaction if its own transaction lies at least the delay before it, and
    strictly before it whatever the delay. It is remembered if its own transaction lies less than
    delay and memory before, or was the account's last fraud. Nothing else is used.

    Args:
        account_N: Account codes from 0.
        counterparty_N: Counterparty codes from 0, -1 where there is none.
        day_N: Times in days, ascending.
        amount_excess_N: How unusually high each amount is for its account, in nats.
        label_N: 1 for fraud, 0 for legitimate, -1 where there never is a label.
        delay_days: Days from a transaction to its label.
        memory_days: Days from then on that the label is remembered, at least the longest window.

    Returns:
        Columns as `LABEL_EVIDENCE` names them. Shape (N, L).

    Raises:
        ConfigError: A negative delay, or a memory that is shorter than a window.
        DataError: Columns of different lengths, times that do not ascend, other codes or labels.
    """
    if not delay_days >= 0:
        raise ConfigError(
            f"label delay: expected at least 0 days, got {delay_days}; labels follow transactions"
        )
    if not memory_days >= WINDOW_DAYS[-1]:
        raise ConfigError(
            f"memory: expected at least {WINDOW_DAYS[-1]} days, the longest window, got "
            f"{memory_days}; labels are counted in it"
        )
    is_ordinary_N = amount_excess_N < ORDINARY_EXCESS
    rows = _Rows(account_N, counterparty_N, day_N, is_ordinary_N, label_N)
    _check(rows)
    evidence_NL = np.empty((len(day_N), len(LABEL_EVIDENCE)), dtype=np.float32)
    lengths = np.array([*WINDOW_DAYS, memory_days])
    _walk(rows, _ignorance(rows), delay_days, lengths, evidence_NL)
    return evidence_NL


def _check(rows: _Rows) -> None:
    lengths = {len(column) for column in rows}
    if len(lengths) > 1:
        raise _refusal("columns of one length", f"lengths {sorted(lengths)}")
    if not np.all(np.diff(rows.day) >= 0):
        raise _refusal("times in ascending order", "others", "sort them by time")
    if min(rows.account.min(initial=0), rows.counterparty.min(initial=0) + 1) < 0:
        raise _refusal("account codes from 0 and counterparty codes from -1", "lower ones")
    if not np.isin(rows.label, (FRAUD, LEGITIMATE, UNLABELLED)).all():
        raise _refusal("labels 1, 0 and -1", f"labels {np.unique(rows.label)[:5].tolist()}")


def _refusal(expected: str, got: str, remedy: str = "encode the log again") -> DataError:
    return DataError(file="labelled transactions", expected=expected, got=got, remedy=remedy)


def _ignorance(rows: _Rows) -> _Known:
    """The sums before the first label."""
    num_accounts = int(rows.account.max(initial=-1)) + 1
    num_counterparties = int(rows.counterparty.max(initial=-1)) + 1
    return _Known(
        left=np.zeros(_NUM_WINDOWS + 1, dtype=np.int64),
        total=np.array([_PRIOR_LABELS, 1.0]),
        counts=np.zeros((num_counterparties + 1, _NUM_WINDOWS, 3), dtype=np.int32),
        run=np.zeros(num_counterparties + 1, dtype=np.int32),
        rows=np.full((num_counterparties + 1, 3), -1),
        next_ordinary=np.full(len(rows.day), -1),
        account_frauds=np.zeros((num_accounts, _NUM_WINDOWS), dtype=np.int32),
        account_row=np.full(num_accounts, -1),
    )


@compiled
def _walk(
    rows: _Rows, known: _Known, delay: float, lengths: Float64Array, evidence_NL: Float32Array
) -> None:
    """One pass, with pointers to labels that become known and that leave each window."""
    arrived = 0
    for row in range(len(rows.day)):
        now = rows.day[row]
        while rows.day[arrived] + delay <= now and rows.day[arrived] < now:
            for window in range(_NUM_WINDOWS):
                _count(rows, known, arrived, window, 1)
            _remember(rows, known, arrived)
            arrived += 1
        for window in range(len(lengths)):
            oldest = known.left[window]
            while oldest < arrived and rows.day[oldest] + delay + lengths[window] <= now:
                if window < _NUM_WINDOWS:
                    _count(rows, known, oldest, window, -1)
                else:
                    _forget(rows, known, oldest)
                oldest += 1
            known.left[window] = oldest
        _write(rows, known, row, evidence_NL[row])


@compiled
def _count(rows: _Rows, known: _Known, row: int, window: int, sign: int) -> None:
    """Add a label to what is counted in a window, or take it out again."""
    label, counterparty = rows.label[row], rows.counterparty[row]
    if label == UNLABELLED:
        return
    known.account_frauds[rows.account[row], window] += sign * label
    if counterparty < 0:
        return
    counts = known.counts[counterparty, window]
    counts[_LABELS] += sign
    counts[_FRAUDS] += sign * label
    if rows.is_ordinary[row]:
        counts[_ORDINARY] += sign * label


@compiled
def _remember(rows: _Rows, known: _Known, row: int) -> None:
    """Keep the runs and last dates of a label, which are not bound to windows."""
    label = rows.label[row]
    if label == UNLABELLED:
        return
    known.total[0] += 1
    known.total[1] += label
    if label == FRAUD:
        known.account_row[rows.account[row]] = row
    if rows.counterparty[row] >= 0:
        _remember_counterparty(rows, known, row)


@compiled
def _remember_counterparty(rows: _Rows, known: _Known, row: int) -> None:
    """A legitimate transaction ends the run; an ordinary fraud goes on with it or starts one."""
    counterparty = rows.counterparty[row]
    kept = known.rows[counterparty]
    if rows.label[row] == LEGITIMATE:
        kept[_LAST_LEGITIMATE] = row
        kept[_RUN_START] = -1
        known.run[counterparty] = 0
    elif rows.is_ordinary[row]:
        if known.run[counterparty] == 0:
            kept[_RUN_START] = row
        else:
            known.next_ordinary[kept[_LAST_ORDINARY]] = row
        kept[_LAST_ORDINARY] = row
        known.run[counterparty] += 1


@compiled
def _forget(rows: _Rows, known: _Known, row: int) -> None:
    """Remove a label that is forgotten; the oldest fraud of a run goes first."""
    label, counterparty = rows.label[row], rows.counterparty[row]
    if label == UNLABELLED:
        return
    known.total[0] -= 1
    known.total[1] -= label
    if counterparty < 0:
        return
    kept = known.rows[counterparty]
    if kept[_RUN_START] == row:
        kept[_RUN_START] = known.next_ordinary[row]
        known.run[counterparty] -= 1
    for place in (_LAST_ORDINARY, _LAST_LEGITIMATE):
        if kept[place] == row:
            kept[place] = -1


@compiled
def _write(rows: _Rows, known: _Known, row: int, evidence_L: Float32Array) -> None:
    """Columns of one transaction, in the order of `LABEL_EVIDENCE`."""
    account, counterparty = rows.account[row], rows.counterparty[row]
    base = known.total[1] / known.total[0]
    evidence_L[0] = base
    for window in range(_NUM_WINDOWS):
        counts = known.counts[counterparty, window]  # -1 is the last one, which stays empty
        weight = counts[_LABELS] + _STRENGTH
        column = 1 + window
        evidence_L[column] = counts[_LABELS]
        evidence_L[column + _NUM_WINDOWS] = counts[_FRAUDS]
        evidence_L[column + 2 * _NUM_WINDOWS] = (counts[_FRAUDS] + _STRENGTH * base) / weight
        evidence_L[column + 3 * _NUM_WINDOWS] = (counts[_ORDINARY] + _STRENGTH * base) / weight
        evidence_L[column + 4 * _NUM_WINDOWS] = known.account_frauds[account, window]
    kept = known.rows[counterparty]
    start, ages_L = kept[_RUN_START], evidence_L[1 + 5 * _NUM_WINDOWS :]
    ages_L[0] = known.run[counterparty]
    ages_L[1] = _days_between(rows, start, row)
    ages_L[2] = _days_between(rows, kept[_LAST_LEGITIMATE], start)
    ages_L[3] = _days_between(rows, kept[_LAST_ORDINARY], row)
    ages_L[4] = _days_between(rows, kept[_LAST_LEGITIMATE], row)
    ages_L[5] = _days_between(rows, known.account_row[account], row)


@compiled
def _days_between(rows: _Rows, first: int, second: int) -> float:
    """Days between two rows; NaN if one of them does not exist."""
    if first < 0 or second < 0:
        return np.nan
    return float(rows.day[second] - rows.day[first])
