"""`compare`: the model and baselines on a log of one's own, in one call."""

from __future__ import annotations

from recsys.datasets.frames.frames import Frame
from recsys.errors import ConfigError


def compare(
    interactions: Frame | None = None,
    users: Frame | None = None,
    items: Frame | None = None,
    *,
    transactions: Frame | None = None,
    labels: Frame | str | None = None,
    **settings: object,
) -> Frame:
    """A table of the model and baselines, measured on the end of a log, which none was fitted on.

    For interactions: the two-tower model, popularity and item neighbours. For transactions with
    confirmed labels: the fraud scorer, fitted without labels, and baseline detectors.

    Args:
        interactions: Interactions, one row an event; or give transactions.
        users: Users and their features.
        items: Items and their features.
        transactions: Transactions, one row each.
        labels: Confirmed labels of the transactions: a frame, or the name of a column.
        settings: Columns and settings, as `Recommender` or `FraudScorer` take them; for
            transactions also `test_share`, the share of them that is measured, 0.3 by default.

    Returns:
        A row for each method, the model first, as the kind of frame that came in.

    Raises:
        ConfigError: Neither interactions nor transactions with labels, or both.
        DataError: A table breaks a rule.
    """
    if (interactions is None) == (transactions is None):
        raise ConfigError(
            "compare: expected interactions or transactions, got "
            f"{'both' if transactions is not None else 'neither'}; "
            "give one of them: compare(log), or compare(transactions=log, labels=...)"
        )
    if interactions is not None:
        from recsys.recommender.frontend.recommender import Recommender

        recommender = Recommender(**settings)  # type: ignore[arg-type]
        return recommender.fit(interactions, users, items).evaluate()
    if labels is None:
        raise ConfigError(
            "compare: expected labels beside transactions, got none; give a frame of "
            "transaction ids and labels, or the name of the column that has them"
        )
    from recsys.fraud.frontend.comparing import compare_scorers

    return compare_scorers(transactions, labels, **settings)  # type: ignore[arg-type]
