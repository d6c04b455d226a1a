"""Recommendations and fraud scores from logs: in Python, and in the jobs of `pipelines`.

    from recsys import Recommender, FraudScorer, compare

Importing this loads none of the heavy libraries; the first use of a name does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from recsys.errors import RecsysError

if TYPE_CHECKING:
    from recsys.comparing import compare
    from recsys.fraud.frontend.fraud_scorer import FraudScorer
    from recsys.recommender.frontend.recommender import Recommender

__version__ = "0.1.0"

__all__ = ["FraudScorer", "Recommender", "RecsysError", "__version__", "compare"]

_HOMES = {
    "FraudScorer": "recsys.fraud.frontend.fraud_scorer",
    "Recommender": "recsys.recommender.frontend.recommender",
    "compare": "recsys.comparing",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'recsys' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
