"""What a check found, in one object for files, figures and people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import JsonValue

from recsys.config import config_to_dict
from recsys.drift.columns import VERDICTS, Column, ColumnDrift, Verdict, compare
from recsys.drift.config import DriftConfig
from recsys.drift.windows import Windows
from recsys.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DriftReport:
    """All columns of a check."""

    windows: Windows
    """The days that were compared."""
    config: DriftConfig
    """The limits."""
    columns: tuple[ColumnDrift, ...]
    """What was found of each column, in the order in which they were given."""
    skipped: tuple[str, ...]
    """Columns without a row in one of the windows."""

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of a column."""
        return max((one.verdict for one in self.columns), key=VERDICTS.index, default="stable")

    @property
    def worst(self) -> ColumnDrift:
        """The column of the worst verdict and, among those, of the largest index."""
        return max(self.columns, key=lambda one: (VERDICTS.index(one.verdict), one.psi))

    def metrics(self) -> dict[str, float]:
        """Figures for tracking: the index of each column, and how many have each verdict."""
        indices = {f"psi.{one.name}": one.psi for one in self.columns}
        counts = {
            f"columns.{verdict}": float(sum(one.verdict == verdict for one in self.columns))
            for verdict in VERDICTS
        }
        return indices | counts

    def to_dict(self) -> dict[str, JsonValue]:
        """The report as JSON values."""
        windows = self.windows
        return {
            "verdict": self.verdict,
            "current": [str(windows.first_current), str(windows.last_day)],
            "reference": [str(windows.first_reference), str(windows.last_reference)],
            "settings": config_to_dict(self.config),
            "columns": {one.name: config_to_dict(one) for one in self.columns},
            "skipped": list(self.skipped),
        }


def check_drift(columns: Iterable[Column], config: DriftConfig, windows: Windows) -> DriftReport:
    """Compare every requested column.

    Raises:
        ConfigError: A requested column does not exist.
    """
    given = {column.name: column for column in columns}
    wanted = tuple(given) if config.columns is None else config.columns
    unknown = [name for name in wanted if name not in given]
    if unknown:
        raise ConfigError(
            f"drift.columns: expected columns among {', '.join(given)}, got {unknown[0]!r}; "
            "correct or remove it"
        )
    found = {name: compare(given[name], config) for name in wanted}
    return DriftReport(
        windows=windows,
        config=config,
        columns=tuple(one for one in found.values() if one is not None),
        skipped=tuple(name for name, one in found.items() if one is None),
    )
