"""Settings of all tests: quiet threads, repeatable examples, and a tracking database at hand."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from balance import ByWhatIsShared, longest_first
from hypothesis import HealthCheck, settings

# Threads that spin while they wait slow small matrix products down where cores are shared. Set
# before a test module imports the first library that reads it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Neither an example nor drawing one may take too long: that is how busy the machine is.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", patient, derandomize=True, max_examples=50)
settings.register_profile("explore", patient, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Share the tests out so that processes end together (see `balance`)."""
    return ByWhatIsShared(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items[:] = longest_first(items)


@pytest.fixture
def failing_call(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], AbstractContextManager]:
    """A block in which the n-th call of a function of `os` finds the disk full."""

    @contextmanager
    def failing(name: str, n: int) -> Iterator[None]:
        real, left = getattr(os, name), n

        def call(*args: object, **kwargs: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                raise OSError(28, "No space left on device")
            return real(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(os, name, call)
            yield

    return failing


@pytest.fixture(scope="session")
def tracking_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty tracking database. Making one takes seconds: copy it, never use it."""
    from recsys.tracking.client import load_mlflow

    path = tmp_path_factory.mktemp("tracking") / "mlflow.db"
    mlflow = load_mlflow()
    mlflow.MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def tracking_database(tracking_template: Path, tmp_path: Path) -> Path:
    """A tracking database of the test's own, in the `mlflow/store/` of its folder."""
    path = tmp_path / "mlflow" / "store" / "mlflow.db"
    path.parent.mkdir(parents=True)
    shutil.copy(tracking_template, path)
    return path
