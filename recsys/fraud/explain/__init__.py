"""Why accounts are flagged, in words and numbers that a person can check."""

from recsys.fraud.explain.contents import FlaggedAccount, explain_alerts
from recsys.fraud.explain.families import evidence_family
from recsys.fraud.explain.reasons import reasons_text
from recsys.fraud.explain.scored import ScoredDay

__all__ = [
    "FlaggedAccount",
    "ScoredDay",
    "evidence_family",
    "explain_alerts",
    "reasons_text",
]
