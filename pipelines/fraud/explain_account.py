"""The command that says why an account scored as it did on a day, flagged or not."""

from __future__ import annotations

from datetime import date

import numpy as np

from pipelines.fraud.config import FraudJobConfig
from pipelines.fraud.night import Night, load_night, score_night
from pipelines.jobs.console import Reporter
from pipelines.jobs.inputs import Inputs
from pipelines.jobs.job import last_whole_day
from recsys.fraud.alerts.daily import DayResult
from recsys.fraud.explain import FlaggedAccount, explain_alerts, reasons_text
from recsys.fraud.report import Alert, wording
from recsys.schema import ACCOUNT_ID


def explain_account(
    config: FraudJobConfig, account_id: str, as_of: date | None, reporter: Reporter
) -> dict[str, object]:
    """Score a day as `score-accounts` does, publish nothing, and explain one account.

    Args:
        config: Settings.
        account_id: Which.
        as_of: The day; yesterday by default.
        reporter: Whom to tell.

    Returns:
        What was found, for the status line.

    Raises:
        DataError: The account has no transaction on the day.
    """
    day = as_of or last_whole_day()
    night = load_night(config, day, as_of, reporter, Inputs())
    result = score_night(config, night, reporter, is_for_a_day=False).result
    place = _place(result, night, account_id)
    flagged = FlaggedAccount(
        account=int(result.days.account[place]),
        rank=int(result.alerts.rank[place]),
        account_score=float(1 - result.p_values[place]),
    )
    (alert,) = explain_alerts(
        result.scored,
        [flagged],
        sufficient_score=result.alerts.sufficient_score,
        cold_transactions=result.cold_transactions,
        earlier_alerts=result.earlier_alerts,
    )
    is_alert = bool(result.alerts.alert[place])
    _tell(alert, len(result.days), reporter, is_alert=is_alert)
    return {
        "job": "explain-account",
        "outcome": "PASSED",
        "day": str(day),
        "account_id": alert.account_id,
        "alert": is_alert,
        "rank": alert.rank,
        "accounts": len(result.days),
        "account_score": alert.account_score,
        "sufficient_score": alert.sufficient_score,
        "cold": alert.cold,
        "flagged_before": [str(one) for one in alert.flagged_before],
        "reasons": reasons_text(alert.reasons),
        "evidence": _evidence(result, flagged.account),
    }


def _place(result: DayResult, night: Night, account_id: str) -> int:
    ids = result.scored.state.account_ids.lookup(result.days.account).to_pylist()
    places = [place for place, one in enumerate(ids) if str(one) == account_id]
    if not places:
        raise night.log.origin(ACCOUNT_ID).refusal(
            expected=f"an account with a transaction on {night.day} (UTC)",
            got="none of that id",
            remedy="compare the id with those of the log, or name another day",
        )
    return places[0]


def _tell(alert: Alert, num_accounts: int, reporter: Reporter, *, is_alert: bool) -> None:
    reporter.say(
        f"{'flagged' if is_alert else 'not flagged'}: rank {alert.rank:,} of {num_accounts:,}, "
        f"score {wording.score(alert.account_score)}, where "
        f"{wording.score(alert.sufficient_score)} suffices"
    )
    for reason in alert.reasons:
        share = "" if np.isnan(reason.share) else f", {reason.share:.0%} of the score"
        reporter.say(f"  {reason.text} ({wording.how_rare(reason)}{share})")
    if alert.flagged_before:
        reporter.say(f"  {wording.flagged_before(alert)}")


def _evidence(result: DayResult, account: int) -> dict[str, float]:
    """Surprise of each kind of evidence in the account's worst transaction, as it is published."""
    scores = result.scored.scores
    rows = np.flatnonzero(scores.account == account)
    worst = rows[np.argmin(scores.calibrated.p_value[rows])]
    surprise_J = scores.calibrated.surprise[worst] / np.log(10)
    return {
        kind: round(float(surprise), 3)
        for kind, surprise in zip(result.scored.model.scorer.kinds, surprise_J, strict=True)
    }
