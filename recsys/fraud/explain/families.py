"""What evidence speaks of: several kinds may say the same thing, and then they are one reason."""

from __future__ import annotations

AMOUNTS, HOURS, COUNTERPARTY, CATEGORY = "amount", "hour", "counterparty", "category"
VELOCITY = "velocity"
"""The family of counts and sums over recent transactions."""
BEHAVIOUR = "behaviour"
"""The family of what sums up all columns: a reason only where no single one stands out."""
EARLIER = "earlier"
"""What the account piled up on the days before."""
CONFIRMED = "confirmed fraud"
"""What labels say that are known."""

_RECONSTRUCTION = "reconstruction_"
_FAMILIES = {
    "amount_high": AMOUNTS,
    "amount_low": AMOUNTS,
    "counterparty_amount": AMOUNTS,
    "reconstruction_log_amount": AMOUNTS,
    "amount": AMOUNTS,
    "hour": HOURS,
    "hour_of_day": HOURS,
    "reconstruction_hour_of_day": HOURS,
    "reconstruction_weekday": HOURS,
    "count_1h": VELOCITY,
    "count_1d": VELOCITY,
    "amount_1d": VELOCITY,
    "new_counterparty": COUNTERPARTY,
    "counterparty_excess": COUNTERPARTY,
    "reconstruction_counterparty_id": COUNTERPARTY,
    "category": CATEGORY,
    "context": CATEGORY,
    "account_distance": BEHAVIOUR,
    "num_known": BEHAVIOUR,
}
_OF_LABELS = ("counterparty_", "account_frauds_", "account_fraud_age_")
_OF_COUNTS = ("account_count_", "account_mean_amount_")


def evidence_family(kind: str, context: str) -> str:
    """The family of a kind of evidence.

    Args:
        kind: Name of the evidence.
        context: The column that amounts depend on; empty when on none.

    Examples:
        >>> evidence_family("amount_high", "category"), evidence_family("count_1h", "category")
        ('amount', 'velocity')
        >>> evidence_family("reconstruction_mcc", "mcc")
        'category'
        >>> evidence_family("reconstruction_country", "mcc")
        'country'
    """
    if context and kind == _RECONSTRUCTION + context:
        return CATEGORY
    return _FAMILIES.get(kind, kind.removeprefix(_RECONSTRUCTION))


def feature_family(name: str, context: str, kinds: tuple[str, ...]) -> str:
    """What a column of the trees over labels speaks of.

    Args:
        name: The column.
        context: As above.
        kinds: Names of the evidence, which are columns too.

    Examples:
        >>> kinds = ("amount_high", "counterparty_amount")
        >>> [feature_family(one, "", kinds) for one in ("counterparty_amount", "account_open_high")]
        ['amount', 'earlier']
        >>> feature_family("counterparty_risk_7d", "", kinds)
        'confirmed fraud'
    """
    if name in kinds or name in _FAMILIES:
        return evidence_family(name, context)
    if name.startswith(_OF_LABELS):
        return CONFIRMED
    return VELOCITY if name.startswith(_OF_COUNTS) else EARLIER
