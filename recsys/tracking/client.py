"""Where runs are tracked and where they wait, and how MLflow is loaded."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from pydantic import Field, field_validator

from recsys.config import config_class
from recsys.errors import ConfigError

_URI = re.compile(r"(sqlite:///|https?://|(postgresql|mysql|mssql)(\+\w+)?://).+")
_SQLITE = "sqlite:///"

# Set before MLflow is imported, where the user has not set them.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",  # or the working directory decides a model's requirements
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # A call to a server that does not answer must fail after seconds, not minutes.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # A redirect must not send requests, and the password in them, to another host.
    "MLFLOW_ALLOW_HTTP_REDIRECTS": "false",
}
# Set even if the user has set them. A request that the HTTP layer repeats by itself may make a
# second run, and a server could ask it to sleep for hours. The replay retries instead, after it has
# looked at what is there.
_FORCED = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
}


@config_class
class TrackingConfig:
    """Where runs are tracked and under which names."""

    enabled: bool = True
    """If false, nothing is tracked and MLflow is not imported."""
    uri: str | None = None
    """A tracking server (`http://127.0.0.1:5000`) or database (`sqlite:////path/mlflow.db`).
    None: SQLite in `mlflow/store/` of the project or, outside one, of the working directory."""
    experiment: str = Field(default="recommender", min_length=1, max_length=500)
    """Experiment that the runs belong to; made when missing."""
    registered_model: str = Field(default="recommender", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """Name of the model in the registry; made when missing."""
    alias: str = Field(default="champion", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """Alias of the model version in use: `models:/recommender@champion`."""
    max_delay_s: float = Field(default=60, gt=0)
    """Seconds that sending to MLflow may add to a job. What was not sent by then waits on the
    disk."""

    @field_validator("uri")
    @classmethod
    def _check_uri(cls, uri: str | None) -> str | None:
        if uri is not None and not _URI.fullmatch(uri):
            raise ValueError(
                "expected http(s)://host, sqlite:////absolute/path or a database address,"
                f" got {redacted(uri)!r}"
            )
        return uri

    @field_validator("alias")
    @classmethod
    def _check_alias(cls, alias: str) -> str:
        if re.fullmatch(r"latest|[vV]\d+", alias):
            raise ValueError(f"expected an alias that MLflow does not use itself, got {alias!r}")
        return alias


def tracking_uri(config: TrackingConfig) -> str:
    """The configured address, or that of the embedded database; SQLite paths are absolute."""
    if config.uri is None:
        return f"{_SQLITE}{_project_folder() / 'mlflow' / 'store' / 'mlflow.db'}"
    path = sqlite_path(config.uri)
    return config.uri if path is None else f"{_SQLITE}{path}"


def spool_folder(config: TrackingConfig) -> Path:
    """Where runs wait to be sent: beside the database, or where the default one would be."""
    database = None if config.uri is None else sqlite_path(config.uri)
    if database is not None:
        return database.parent / "spool"
    return _project_folder() / "mlflow" / "store" / "spool"


def sqlite_path(uri: str) -> Path | None:
    """File of a SQLite address, absolute; None for other addresses."""
    return Path(uri.removeprefix(_SQLITE)).absolute() if uri.startswith(_SQLITE) else None


def load_mlflow() -> ModuleType:
    """Import MLflow with its telemetry and its pickles off.

    Raises:
        ConfigError: MLflow is not installed.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ.update(_FORCED)
    try:  # the import alone proves nothing: the folder mlflow/ passes for an empty package
        importlib.metadata.version("mlflow")
    except importlib.metadata.PackageNotFoundError:
        raise ConfigError(
            "tracking: expected MLflow, got no such library; install it (pip install mlflow)"
            " or set tracking.enabled = false"
        ) from None
    mlflow = importlib.import_module("mlflow")
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return mlflow


@contextmanager
def existing_accepted() -> Iterator[None]:
    """Make something, or accept that it exists already."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def redacted(text: str) -> str:
    """A text without the user names and passwords of the addresses in it."""
    return re.sub(r"//[^/@\s]+@", "//***@", text)


def _project_folder() -> Path:
    """The nearest folder around the working directory with a project file and `mlflow/` in it."""
    start = Path.cwd()
    around = (start, *start.parents)
    projects = (
        at for at in around if (at / "mlflow").is_dir() and (at / "pyproject.toml").is_file()
    )
    return next(projects, start)
