"""What `import recsys` offers, and what it costs."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import recsys
from recsys import FraudScorer, Recommender, compare

PUBLIC = {
    Recommender: {"fit", "recommend", "similar_items", "evaluate", "save", "load"},
    FraudScorer: {"fit", "score", "advance", "alerts", "account_scores", "save", "load"},
}
HEAVY = {"torch", "pandas", "pyarrow", "numpy", "mlflow", "sklearn", "numba", "faiss", "pydantic"}


def test_exported_names_are_these() -> None:
    """The names of the package are two products, a comparison, the error to catch, the version."""
    names = ["FraudScorer", "Recommender", "RecsysError", "__version__", "compare"]

    assert recsys.__all__ == names == dir(recsys)
    assert all(getattr(recsys, name) is not None for name in names)


def test_each_product_has_few_verbs_and_each_is_documented() -> None:
    """Public methods are exactly the documented ones, with a docstring each."""
    for product, verbs in PUBLIC.items():
        found = {name for name, _ in inspect.getmembers(product) if not name.startswith("_")}
        assert found == verbs
        assert all(inspect.getdoc(getattr(product, verb)) for verb in verbs)
    assert inspect.getdoc(compare)


def test_importing_the_package_loads_nothing_heavy() -> None:
    """The libraries come with the first use of a name, so that `import recsys` takes no time."""
    code = "import json, sys, recsys; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not HEAVY & {name.partition(".")[0] for name in json.loads(run.stdout)}


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails as in any module."""
    assert not hasattr(recsys, "Recomender")
