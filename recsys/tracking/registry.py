"""Versions of a registered model, made from bundles without pickle, and the alias of the best."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import JsonValue

from recsys.artifacts import Bundle
from recsys.files import PRIVATE_FOLDER
from recsys.schema import EVENT_TIME_TYPE
from recsys.tracking.answers import UnavailableError
from recsys.tracking.client import existing_accepted
from recsys.tracking.environment import core_requirements
from recsys.tracking.served import ServedModel
from recsys.tracking.spool import copy_private
from recsys.tracking.values import valid_names

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

RUN_KEY, ORDER = "recsys.run_key", "recsys.published"
"""Tags: the run that made a model, and when that model was published."""

_COLUMN_TYPES = {
    EVENT_TIME_TYPE: "datetime",
    pa.int64(): "long",
    pa.int32(): "integer",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.string(): "string",
}
_MAX_MOVES = 3


def write_served(
    served: ServedModel, folder: Path, *, tags: Mapping[str, str]
) -> dict[str, JsonValue]:
    """Write everything that a registered model consists of, to be registered later.

    This library is not among the requirements: its name on a package index may be another
    project's.

    Returns:
        What `register_model` needs besides the folder.
    """
    for role, bundle in served.bundles.items():
        (folder / role).mkdir(PRIVATE_FOLDER)
        copy_private(bundle.folder, folder / role, linked=True)
    copy_private(served.code, folder)
    if served.input_example is not None:
        served.input_example.to_parquet(folder / "input_example.parquet")
    return {
        "code": served.code.name,
        "roles": list(served.bundles),
        "inputs": _columns(served.inputs),
        "outputs": _columns(served.outputs),
        "params": dict(served.params),
        "requirements": list(core_requirements(*served.packages)),
        "tags": {**bundle_tags(served.bundles), **tags},
    }


def register_model(
    mlflow: ModuleType,
    client: MlflowClient,
    values: Mapping[str, Any],
    folder: Path,
    *,
    name: str,
    run_id: str,
) -> int:
    """Store a model of a run and register it, going on from what an earlier attempt has done.

    Args:
        mlflow: The library.
        client: Speaks to the tracker.
        values: What `write_served` returned, the run's key among its tags.
        folder: What it has written.
        name: The model's name in the registry.
        run_id: The tracker's name for the run.

    Returns:
        The number of the version.
    """
    tags = values["tags"]
    made = _versions(client, name, tags[RUN_KEY])
    if made:
        return int(made[0].version)
    model = _store_model(mlflow, client, values, folder, name=name, run_id=run_id)
    with existing_accepted():
        client.create_registered_model(name)
    version = client.create_model_version(
        name, _source(model), run_id=run_id, tags=tags, model_id=model.model_id
    )
    if not version.version:
        raise UnavailableError("expected the number of a model version, got an empty answer")
    return int(version.version)


def remove_double_versions(
    client: MlflowClient, name: str, experiment_id: str, run_key: str, *, keep: int
) -> None:
    """Remove versions and stored models of a run beside the one version that is to stay."""
    versions = _versions(client, name, run_key)
    sources = {version.source for version in versions if int(version.version) == keep}
    for version in versions:
        if int(version.version) != keep:
            client.delete_model_version(name, version.version)
    for model in _stored_models(client, experiment_id, run_key):
        if sources and _source(model) not in sources:
            client.delete_logged_model(model.model_id)


def move_alias(client: MlflowClient, name: str, alias: str, version: int) -> None:
    """Give a version the alias, unless a version that was published later has it.

    The registry cannot compare and set in one step, so the alias is read again after it was set. If
    an earlier version took it in between, it is moved again; a later version keeps it.

    Raises:
        UnavailableError: Others keep moving it.
    """
    own = str(version)
    order = client.get_model_version(name, own).tags.get(ORDER, "")
    for _ in range(_MAX_MOVES):
        holder = _holder(client, name, alias)
        if holder is not None and (
            str(holder.version) == own or holder.tags.get(ORDER, "") > order
        ):
            return
        client.set_registered_model_alias(name, alias, own)
    holder = _holder(client, name, alias)
    if holder is None or str(holder.version) != own:
        raise UnavailableError(f"expected the alias {alias!r} on version {own}, got it elsewhere")


def model_signature(
    inputs: Sequence[Sequence[str]], outputs: Sequence[Sequence[str]], params: Mapping[str, int]
) -> ModelSignature:
    """The columns and parameters of a model, as MLflow writes them down."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    specs = [ParamSpec(name, "long", default) for name, default in params.items()]
    return ModelSignature(
        inputs=Schema([ColSpec(*column) for column in inputs]),
        outputs=Schema([ColSpec(*column) for column in outputs]),
        params=ParamSchema(specs) if specs else None,
    )


def bundle_tags(bundles: Mapping[str, Bundle]) -> dict[str, str]:
    """Kind, fingerprint and data digests of each bundle, under its role."""
    tags = {}
    for role, bundle in bundles.items():
        tags[f"{role}.kind"] = bundle.manifest.kind
        tags[f"{role}.fingerprint"] = bundle.fingerprint
        digests = bundle.manifest.data_digests
        tags |= {f"{role}.data.{table}": digest for table, digest in digests.items()}
    return valid_names(tags)


def _store_model(
    mlflow: ModuleType,
    client: MlflowClient,
    values: Mapping[str, Any],
    folder: Path,
    *,
    name: str,
    run_id: str,
) -> LoggedModel:
    """Upload a model of the run; the code is kept as a file and each bundle as a folder."""
    run = client.get_run(run_id)
    experiment_id, key = run.info.experiment_id, values["tags"][RUN_KEY]
    model = next(iter(_stored_models(client, experiment_id, key)), None)
    if model is None:
        model = client.create_logged_model(
            experiment_id, name, run_id, tags=values["tags"], params=run.data.params
        )
    if not model.model_id:
        raise UnavailableError("expected the name of a stored model, got an empty answer")
    if str(model.status) != "READY":
        with tempfile.TemporaryDirectory() as draft:
            _write_model(mlflow, values, folder, Path(draft, "model"), model)
            client.log_model_artifacts(model.model_id, str(Path(draft, "model")))
        client.finalize_logged_model(model.model_id, "READY")
    known = run.outputs.model_outputs if run.outputs is not None else []
    if model.model_id not in {output.model_id for output in known}:
        output = mlflow.entities.LoggedModelOutput(model.model_id, step=0)
        client.log_outputs(run_id, [output])
    return model


def _write_model(
    mlflow: ModuleType,
    values: Mapping[str, Any],
    folder: Path,
    target: Path,
    model: LoggedModel,
) -> None:
    import pandas as pd

    example = folder / "input_example.parquet"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*input example was not provided")
        mlflow.pyfunc.save_model(
            path=str(target),
            mlflow_model=mlflow.models.Model(
                artifact_path=model.artifact_location,
                model_uuid=model.model_id,
                run_id=model.source_run_id,
                model_id=model.model_id,
            ),
            python_model=str(folder / values["code"]),
            artifacts={role: str(folder / role) for role in values["roles"]},
            signature=model_signature(values["inputs"], values["outputs"], values["params"]),
            input_example=pd.read_parquet(example) if example.exists() else None,
            pip_requirements=values["requirements"],
        )
    for compiled in target.rglob("__pycache__"):
        shutil.rmtree(compiled)


def _source(model: LoggedModel) -> str:
    """The source under which a version is registered."""
    return f"models:/{model.model_id}"


def _versions(client: MlflowClient, name: str, run_key: str) -> list[ModelVersion]:
    """Versions that a run has made, the first one first."""
    found = client.search_model_versions(f"name = '{name}' and tags.`{RUN_KEY}` = '{run_key}'")
    return sorted(found, key=lambda version: int(version.version))


def _stored_models(client: MlflowClient, experiment_id: str, run_key: str) -> list[LoggedModel]:
    """Models that a run has stored, the first one first."""
    found = client.search_logged_models([experiment_id], f"tags.`{RUN_KEY}` = '{run_key}'")
    return sorted(found, key=lambda model: (model.creation_timestamp, model.model_id))


def _holder(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """The version that has the alias."""
    model = client.get_registered_model(name)
    number = model.aliases.get(alias)
    return None if number is None else client.get_model_version(name, str(number))


def _columns(schema: pa.Schema) -> list[JsonValue]:
    return [[_COLUMN_TYPES[field.type], field.name] for field in schema]
