"""Transactions with planted fraud: behaviour by persona, and plants whose reason is known."""

from recsys.datasets.synthetic.transactions.log import SyntheticTransactions, synthetic_transactions
from recsys.datasets.synthetic.transactions.plants import (
    EvidenceFamily,
    Plant,
    Planted,
    PlantKind,
    right_reasons,
)

__all__ = [
    "EvidenceFamily",
    "Plant",
    "PlantKind",
    "Planted",
    "SyntheticTransactions",
    "right_reasons",
    "synthetic_transactions",
]
