"""Whether what a reason says is so: every statement is counted again in the raw log.

Plain and slow, by the words of the reason alone: it shares no code with what wrote them.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa

from recsys.fraud.report import Reason

HOUR, DAY = pd.Timedelta(hours=1), pd.Timedelta(days=1)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LONGEST = 60


class Oracle:
    """A log under its standard names, in the order of time."""

    def __init__(
        self, table: pa.Table, labels: pa.Table | None = None, delay_days: float = 0
    ) -> None:
        self.log = table.to_pandas().reset_index(drop=True)
        self.log["event_time"] = pd.to_datetime(self.log["event_time"], utc=True)
        times = self.log["event_time"].dt.tz_localize(None).to_numpy().astype("datetime64[us]")
        self.time = times
        self.row_of = {str(one): row for row, one in enumerate(self.log["transaction_id"])}
        self.groups = {
            name: self.log.groupby(name, sort=False).indices
            for name in ("account_id", "counterparty_id")
            if name in self.log
        }
        self.labels = {} if labels is None else dict(zip(*labels.to_pydict().values(), strict=True))
        self.every_count: dict[pd.Timedelta, np.ndarray] = {}
        self.delay = pd.Timedelta(days=delay_days)

    def faults(self, reason: Reason, *, account: object, day: date) -> list[str]:
        """What is untrue about a reason for an alert of a day; nothing where all of it is true."""
        row = self.row_of[reason.transaction_id]
        start = np.datetime64(day, "us")
        num_before = int(np.searchsorted(self.time, start))
        faults = []
        if str(self.log["account_id"][row]) != str(account) or not (
            start <= self.time[row] < start + np.timedelta64(1, "D")
        ):
            faults.append("not a transaction of the account on the day")
        if reason.observed not in reason.text or _subject_and_usual(reason)[1] not in reason.text:
            faults.append("the sentence says something else")
        if len(reason.text) > 600:
            faults.append("a text too long to read")
        check = self._counted if reason.num_known is not None else self._told
        return [f"{fault}: {reason.text}" for fault in faults + check(reason, row, num_before)]

    # What is counted.

    def _counted(self, reason: Reason, row: int, num_before: int) -> list[str]:
        subject, usual, often = _parts(reason)
        rows = self._rows_of(subject, row, num_before)
        if rows is None:
            return [f"nobody is called {subject!r}"]
        observed = reason.observed
        if observed.endswith(" paid within 24 hours"):
            found = self._sum(observed, usual, rows, row)
        elif re.fullmatch(r"[\d,]+ transactions? within (an hour|24 hours)", observed):
            found = self._count(observed, usual, rows, row)
        elif reason.evidence == "hour" and observed in WEEKDAYS:
            found = self._weekday(observed, usual, rows, row)
        elif reason.evidence == "hour":
            found = self._hour(observed, usual, rows, row)
        elif observed.endswith(", new") and usual == "known ones":
            found = self._new(observed, rows, row)
        elif reason.alike in ("as high", "as low"):
            found = self._number(reason, usual, rows, row)
        else:
            found = self._term(reason, usual, rows, row, is_most=often == "most often")
        faults, num_alike, num_known = found
        if (num_alike, num_known) != (reason.num_alike, reason.num_known):
            reported = (reason.num_alike, reason.num_known)
            faults.append(
                f"{num_alike} of {num_known} are alike, not {reported[0]} of {reported[1]}"
            )
        if num_alike:
            ratio = reason.rarity / (num_alike / num_known)
        else:
            ratio = reason.rarity * (num_known + 1)
        return faults if 0.5 <= ratio <= 2 else [*faults, f"rarity {reason.rarity} of {num_alike}"]

    def _rows_of(self, subject: str, row: int, num_before: int) -> np.ndarray | None:
        """Rows before the day of whom the words name, which is told by the values of the row."""
        one = self.log.iloc[row]
        if subject.startswith("this account"):
            rows, rest = self.groups["account_id"][one["account_id"]], subject[12:]
        elif subject.startswith("all accounts at "):
            rows, rest = self.groups["counterparty_id"][one["counterparty_id"]], subject[16:]
            name = shown(one["counterparty_id"])
            if not rest.startswith(name):
                return None
            rest = rest[len(name) :]
        elif subject.startswith("all accounts"):
            rows, rest = np.arange(num_before), subject[12:]
        else:
            return None
        rows = rows[rows < num_before]
        while rest:
            for name in self.log.columns:
                lead = f" with {name} {shown(one[name])}"
                if rest == lead or rest.startswith(f"{lead} with "):
                    column, rest = self.log[name].to_numpy()[rows], rest[len(lead) :]
                    same = pd.isna(column) if pd.isna(one[name]) else column == one[name]
                    rows = rows[np.asarray(same, dtype=bool)]
                    break
            else:
                return None
        return rows

    def _in_currency(self, rows: np.ndarray, row: int) -> np.ndarray:
        if "currency" not in self.log:
            return rows
        column, own = self.log["currency"].to_numpy()[rows], self.log["currency"][row]
        return rows[np.asarray(pd.isna(column) if pd.isna(own) else column == own, dtype=bool)]

    def _number(self, reason: Reason, usual: str, rows: np.ndarray, row: int) -> tuple:
        name = reason.evidence
        rows = self._in_currency(rows, row) if name == "amount" else rows
        values = self.log[name].to_numpy(dtype=float)[rows]
        return _range(reason.observed, usual, values, float(self.log[name][row]))

    def _sum(self, observed: str, usual: str, rows: np.ndarray, row: int) -> tuple:
        payments = [one for one in rows if self.log["amount"][one] > 0]
        sums = np.array([self._paid_until(one) for one in payments])
        own = self.groups["account_id"][self.log["account_id"][row]]
        faults = []
        if "currency" in self.log and self.log["currency"].iloc[own[own <= row]].nunique() > 1:
            faults.append("a sum over currencies")
        found = _range(
            observed.removesuffix(" paid within 24 hours"), usual, sums, self._paid_until(row)
        )
        return faults + found[0], found[1], found[2]

    def _paid_until(self, row: int) -> float:
        rows = self._own_within(row, DAY)
        return round(float(np.clip(self.log["amount"].to_numpy()[rows], 0, None).sum()), 6)

    def _own_within(self, row: int, window: pd.Timedelta) -> np.ndarray:
        own, end = self.groups["account_id"][self.log["account_id"][row]], self.time[row]
        times = self.time[own]
        return own[(times > end - window.to_timedelta64()) & (times <= end)]

    def _count(self, observed: str, usual: str, rows: np.ndarray, row: int) -> tuple:
        window = HOUR if observed.endswith("an hour") else DAY
        number, most = (
            int(observed.split(maxsplit=1)[0].replace(",", "")),
            int(usual.rsplit(maxsplit=1)[-1].replace(",", "")),
        )
        faults = [] if len(self._own_within(row, window)) == number else ["another count"]
        counts = self._counts(rows, window)
        if number <= most or np.mean(counts <= most) < 0.9:
            faults.append("not what is usual")
        if window == HOUR and self._tells_no_hour():
            faults.append("times tell no hour")
        return faults, int(np.sum(counts >= number)), len(counts)

    def _counts(self, rows: np.ndarray, window: pd.Timedelta) -> np.ndarray:
        if len(rows) < 5_000:
            return np.array([len(self._own_within(one, window)) for one in rows])
        if window not in self.every_count:
            counts = np.zeros(len(self.log), dtype=int)
            for own in self.groups["account_id"].values():
                times = self.time[own]
                first = np.searchsorted(times, times - window.to_timedelta64(), side="right")
                counts[own] = np.searchsorted(times, times, side="right") - first
            self.every_count[window] = counts
        return self.every_count[window][rows]

    def _tells_no_hour(self) -> bool:
        return bool(np.all(self.time == self.time.astype("datetime64[D]")))

    def _hour(self, observed: str, usual: str, rows: np.ndarray, row: int) -> tuple:
        time = self.log["event_time"][row]
        faults = [] if observed == f"{time:%H:%M} UTC" else ["another time"]
        first, end = (int(one[:2]) for one in usual.split(" to "))
        hours = pd.DatetimeIndex(self.time[rows]).hour.to_numpy()
        inside = {hour % 24 for hour in range(first, end if end > first else end + 24)}
        if time.hour in inside or np.mean(np.isin(hours, list(inside))) < 0.9:
            faults.append("not what is usual")
        if self._tells_no_hour():
            faults.append("times tell no hour")
        return faults, int(np.sum(hours == time.hour)), len(hours)

    def _weekday(self, observed: str, usual: str, rows: np.ndarray, row: int) -> tuple:
        days = pd.DatetimeIndex(self.time[rows]).dayofweek.to_numpy()
        own = self.log["event_time"][row].dayofweek
        named = [WEEKDAYS.index(one) for one in usual.split(", ")]
        faults = [] if WEEKDAYS[own] == observed else ["another weekday"]
        if own in named or np.mean(np.isin(days, named)) < 0.9:
            faults.append("not what is usual")
        return faults, int(np.sum(days == own)), len(days)

    def _new(self, observed: str, rows: np.ndarray, row: int) -> tuple:
        own, names = self.log["counterparty_id"][row], self.log["counterparty_id"].to_numpy()[rows]
        faults = [] if f"{shown(own)}, new" == observed and own not in set(names) else ["not new"]
        num_new = len(set(names))
        if num_new > 0.1 * len(names):
            faults.append("new ones are usual")
        return faults, num_new, len(names)

    def _term(
        self, reason: Reason, usual: str, rows: np.ndarray, row: int, *, is_most: bool
    ) -> tuple:
        is_other = reason.evidence == "counterparty"
        faults, own = ["another value"], None
        for name in ["counterparty_id"] if is_other else self._columns_called(reason.evidence):
            own = self.log[name][row]
            if shown(own) == reason.observed:
                faults = []
                break
        names = [shown(one) for one in self.log[name].to_numpy()[rows]]
        counts = Counter(names)
        reported = re.findall(r"(.*?) \((less than 0\.1|[\d.]+)%\)(?:, |$)", usual)
        covered = sum(counts[term] for term, _ in reported)
        for term, share in reported:
            real = 100 * counts[term] / len(names)
            if share != "less than 0.1" and abs(real - float(share)) > 0.51:
                faults.append(f"{term} has {real:.1f}%")
        if not reported or reason.observed in dict(reported):
            faults.append("usual is what came")
        if covered < (0.9 if not is_most else 0.0) * len(names):
            faults.append("not what is usual")
        if is_most and min(counts[term] for term, _ in reported) < counts[shown(own)]:
            faults.append("not the most frequent")
        return faults, counts[shown(own)], len(names)

    def _columns_called(self, evidence: str) -> list[str]:
        if evidence in self.log and evidence != "category":
            return [evidence]
        return [name for name in self.log if name not in ("transaction_id", "amount", "event_time")]

    # What is told without a count of what is as unusual.

    def _told(self, reason: Reason, row: int, num_before: int) -> list[str]:
        own = self.groups["account_id"][self.log["account_id"][row]]
        numbers = [int(one.replace(",", "")) for one in re.findall(r"[\d,]*\d", reason.observed)]
        match reason.evidence:
            case "earlier":
                real = int(np.sum(own < num_before))
                return [] if real and numbers == [real] else [f"{real} before the day"]
            case "counterparty":
                return self._others(reason.observed, row)
            case "confirmed fraud":
                return self._labels(reason.observed, row)
            case "combination":
                return [] if 0 < reason.rarity <= 1 else ["no probability"]
            case _:
                return ["nothing that can be checked"]

    def _others(self, observed: str, row: int) -> list[str]:
        at = self.groups["counterparty_id"][self.log["counterparty_id"][row]]
        at = at[at < row]
        accounts = self.log["account_id"].to_numpy()
        real = int(np.sum(accounts[at] != accounts[row]))
        lead = f"{shown(self.log['counterparty_id'][row])}, where something was unusual among the "
        reported = re.fullmatch(
            r"([\d,]+) transactions? of other accounts before", observed[len(lead) :]
        )
        is_so = (
            observed.startswith(lead) and reported and int(reported[1].replace(",", "")) == real > 0
        )
        return [] if is_so else [f"{real} of other accounts before"]

    def _labels(self, observed: str, row: int) -> list[str]:
        pattern = r"([\d,]+) of the ([\d,]+) labels? known (.*) in the (\d+) days before say fraud"
        reported = re.fullmatch(pattern, observed)
        if reported is None:
            return ["no count of labels"]
        if reported[3] == "of this account":
            rows = self.groups["account_id"][self.log["account_id"][row]]
        elif reported[3] == f"at {shown(self.log['counterparty_id'][row])}":
            rows = self.groups["counterparty_id"][self.log["counterparty_id"][row]]
        else:
            return [f"labels {reported[3]}"]
        end, times = self.time[row], self.time[rows]
        first = end - np.timedelta64(int(reported[4]), "D")
        known = (times > first) & (times < end) & (times + self.delay.to_timedelta64() <= end)
        ids = self.log["transaction_id"].to_numpy()[rows[known]]
        answers = [self.labels[one] for one in ids.tolist() if one in self.labels]
        real = (sum(answers), len(answers))
        is_so = (
            real == tuple(int(reported[place].replace(",", "")) for place in (1, 2)) and real[0] > 0
        )
        return [] if is_so else [f"{real[0]} of {real[1]} labels say fraud"]


def shown(value: object) -> str:
    """A value as a person reads it."""
    if value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return "no value"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"


def _parts(reason: Reason) -> tuple[str, str, str]:
    for often in ("usually", "most often"):
        subject, found, usual = reason.expected.partition(f" {often} ")
        if found:
            return subject, usual, often
    return reason.expected, "", ""


def _subject_and_usual(reason: Reason) -> tuple[str, str]:
    subject, usual, _ = _parts(reason)
    return subject, usual


def _range(observed: str, usual: str, values: np.ndarray, value: float) -> tuple:
    """A number outside the range that nine in ten have."""
    number = r"-?[\d,]+(?:\.\d+)?"
    ends = re.match(rf"({number}) to ({number})", usual)
    reported = re.match(number, observed)
    if ends is None or reported is None:
        return ["no range"], 0, 0
    low, high, seen = (float(one.replace(",", "")) for one in (ends[1], ends[2], reported[0]))
    decimals = len(reported[0].partition(".")[2])
    values = values[np.isfinite(values)]
    faults = [] if math.isclose(round(value, decimals), seen, abs_tol=1e-9) else ["another number"]
    if low <= seen <= high:
        faults.append("it lies in its own range")
    if np.mean((values >= low) & (values <= high)) < 0.9:
        faults.append("not what is usual")
    alike = values >= value if seen > high else values <= value
    return faults, int(alike.sum()), len(values)
