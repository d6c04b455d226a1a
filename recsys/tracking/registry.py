"""Versions of a registered model, made from bundles without pickle."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING

import pyarrow as pa

from recsys.artifacts import Bundle
from recsys.schema import EVENT_TIME_TYPE
from recsys.tracking.client import existing_accepted
from recsys.tracking.environment import core_requirements
from recsys.tracking.served import ServedModel
from recsys.tracking.values import valid_names

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

_COLUMN_TYPES = {
    EVENT_TIME_TYPE: "datetime",
    pa.int64(): "long",
    pa.int32(): "integer",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.string(): "string",
}


def register_model(mlflow: ModuleType, served: ServedModel, *, name: str) -> int:
    """Store a model in the active run and register it, once it is ready.

    The code is kept as a file and each bundle as a folder. This library is not among the
    requirements: its name on a package index may be another project's.

    Returns:
        The number of the new version.
    """
    tags = bundle_tags(served.bundles)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*input example was not provided")
        model = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(served.code),
            artifacts={role: str(bundle.folder) for role, bundle in served.bundles.items()},
            signature=model_signature(served),
            input_example=served.input_example,
            pip_requirements=core_requirements(*served.packages),
            tags=tags,
        )
    client = mlflow.MlflowClient()
    with existing_accepted():
        client.create_registered_model(name)
    version = client.create_model_version(
        name, model.model_uri, run_id=model.run_id, tags=tags, model_id=model.model_id
    )
    return int(version.version)


def model_signature(served: ServedModel) -> ModelSignature:
    """The columns and parameters of a model, as MLflow writes them down."""
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, ParamSpec, Schema

    params = [ParamSpec(name, "long", default) for name, default in served.params.items()]
    return ModelSignature(
        inputs=Schema(_columns(served.inputs)),
        outputs=Schema(_columns(served.outputs)),
        params=ParamSchema(params) if params else None,
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


def _columns(schema: pa.Schema) -> list[object]:
    from mlflow.types import ColSpec

    return [ColSpec(_COLUMN_TYPES[field.type], field.name) for field in schema]
