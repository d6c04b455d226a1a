"""Why accounts and their transactions are suspicious: what made the score, the most first.

Shapes: R suspicious transactions of the flagged accounts, A flagged accounts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa

from recsys.arrays import Int64Array
from recsys.fraud.explain.aspects import Aspects
from recsys.fraud.explain.contributions import Contributions, contributions_of, heat_before
from recsys.fraud.explain.facts import Fact
from recsys.fraud.explain.families import CONFIRMED, COUNTERPARTY, EARLIER
from recsys.fraud.explain.neighbours import confirmed_frauds, days_before, unusual_others
from recsys.fraud.explain.past import Past
from recsys.fraud.explain.scored import FlaggedRows, ScoredDay, flagged_rows
from recsys.fraud.explain.words import combination, reason_of
from recsys.fraud.report import wording
from recsys.fraud.report.content import Reason
from recsys.reporting import formats
from recsys.schema import ACCOUNT_ID, CURRENCY, TRANSACTION_ID

_NUM_IN_TEXT = 3
_MAX_REASONS = 5
_MIN_SHARE = 0.05
_MIN_HEAT = 0.5  # nats that are still remembered of earlier days
_MAX_TRIED = 5  # transactions in which a family is looked for something to show


@dataclass(frozen=True, kw_only=True, eq=False)
class Explained:
    """The flagged accounts of a day with all that explains them."""

    scored: ScoredDay
    """The day."""
    flagged: FlaggedRows
    """The rows of the accounts."""
    contributions: Contributions
    """What made the score of each suspicious transaction. R rows."""
    past: Past
    """All transactions before the day."""

    @classmethod
    def of(cls, scored: ScoredDay, flagged_A: Int64Array) -> Self:
        """Gather what explains some accounts.

        Args:
            scored: The day.
            flagged_A: Places of the accounts in the state; each has a transaction on the day.
        """
        flagged = flagged_rows(scored, flagged_A)
        return cls(
            scored=scored,
            flagged=flagged,
            contributions=contributions_of(scored, flagged.suspicious),
            past=Past(scored.history),
        )

    @property
    def rows(self) -> list[Int64Array]:
        """Which of the R transactions each account has."""
        sizes = [len(one.suspicious) for one in self.flagged.accounts]
        return np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1]) if sizes else []

    def reasons(self, place: int, rows: Int64Array) -> tuple[Reason, ...]:
        """Reasons for some of the suspicious transactions of an account taken together.

        A family that made the score but has nothing to show that a person could check is left out.

        Args:
            place: Which of the flagged accounts.
            rows: Which of the R transactions, one at least.
        """
        aspects = self._aspects(place)
        total = self.contributions.total(rows)
        whole = max(sum(total.values()), 1e-12)
        found: list[Reason] = []
        for family, nats in total.items():
            if len(found) == _MAX_REASONS or nats < _MIN_SHARE * whole:
                break
            reason = self._reason(aspects, place, family, rows, share=nats / whole)
            found += [] if reason is None else [reason]
        return tuple(found) or (self._combination(rows),)

    def _aspects(self, place: int) -> Aspects:
        inputs = self.scored.model.inputs
        own = self.flagged.accounts[place].day
        terms = [name for name in inputs.encoder.categorical if name in inputs.features]
        if inputs.has_currency:
            terms.append(CURRENCY)
        return Aspects(
            past=self.past,
            day=self.scored.table.take(pa.array(own)),
            context=inputs.context,
            categorical=tuple(name for name in terms if name not in inputs.account_features),
        )

    def _reason(
        self, aspects: Aspects, place: int, family: str, rows: Int64Array, *, share: float
    ) -> Reason | None:
        """The reason that a family gives, in the transaction that shows it most."""
        own = self.flagged.accounts[place].day
        for row in self.contributions.strongest(family, rows)[:_MAX_TRIED]:
            of_day = int(self.flagged.suspicious[row])
            fact = self._fact(aspects, family, of_day, int(np.searchsorted(own, of_day)))
            if fact is not None:
                return reason_of(fact, family, share=share, transaction_id=self._id(of_day))
        return None

    def _fact(self, aspects: Aspects, family: str, of_day: int, row: int) -> Fact | None:
        if family == EARLIER:
            if heat_before(self.scored, np.array([of_day])).max() < _MIN_HEAT:
                return None
            return days_before(self.past, aspects.day[ACCOUNT_ID][0].as_py())
        if family == CONFIRMED:
            return confirmed_frauds(self.scored, of_day)
        fact = aspects.fact(family, row)
        if fact is None and family == COUNTERPARTY:
            return unusual_others(self.scored, self.past, of_day)
        return fact

    def _combination(self, rows: Int64Array) -> Reason:
        p_values = self.scored.scores.calibrated.p_value[self.flagged.suspicious[rows]]
        of_day = int(self.flagged.suspicious[rows[np.argmin(p_values)]])
        return combination(float(p_values.min()), transaction_id=self._id(of_day))

    def _id(self, of_day: int) -> str:
        return str(self.scored.table[TRANSACTION_ID][of_day].as_py())


def reasons_text(reasons: Sequence[Reason]) -> str:
    """The weightiest reasons in one line."""
    return "; ".join(_in_line(one) for one in reasons[:_NUM_IN_TEXT])


def _in_line(one: Reason) -> str:
    text = f"{one.evidence}: {one.observed}"
    if one.expected:
        text = f"{text}, {one.expected}"
    rare = wording.how_rare(one)
    return text if rare == formats.NOTHING else f"{text} ({rare})"
