"""A fraud scorer on disk: one bundle with weights, vocabularies, calibrations and settings.

Shapes: J kinds of evidence, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from pydantic import JsonValue

from recsys.artifacts import Bundle, read_bundle, write_bundle
from recsys.config import config_to_dict, parse_config
from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.origin import reason_of
from recsys.errors import ArtifactError, ConfigError, DataError
from recsys.features.encoder_bundle import (
    encoder_document,
    encoder_tables,
    read_encoder,
    vocabulary_of,
    vocabulary_table,
)
from recsys.fraud.config import FraudConfig
from recsys.fraud.embedding.autoencoder import FittedAutoencoder, InputColumns
from recsys.fraud.embedding.inputs import TransactionInputs
from recsys.fraud.embedding.observed import Clusters
from recsys.fraud.labels.meta_model import MetaModel
from recsys.fraud.labels.supervised import Supervised
from recsys.fraud.model import FraudModel
from recsys.fraud.profiles.arrays import Excess, Priors
from recsys.fraud.scoring.booster import Booster
from recsys.fraud.scoring.scorer import EvidenceScorer
from recsys.fraud.scoring.tails import Tail

Arrays = dict[str, npt.NDArray[Any]]

BUNDLE_KIND = "fraud-model"
"""Kind of the bundle that a model is saved as."""

_COLUMNS = "columns"
_CONTEXT = "context-terms"
_EVIDENCE_TREES = "booster"
_LABEL_TREES = "stacker"
_SUPERVISED = "supervised"
_TAIL_NUMBERS = {"rates": "rate", "shares": "share", "exponentials": "exponential"}


def save_fraud_model(model: FraudModel, folder: Path, *, data_digests: Mapping[str, str]) -> Bundle:
    """Write a model as a bundle; the state of its accounts is a bundle of its own.

    Args:
        model: A fitted model.
        folder: A folder that does not exist yet.
        data_digests: Digest of each table that the model was fitted on.

    Raises:
        ArtifactError: The folder exists, or the disk refuses.
    """
    return write_bundle(
        folder,
        kind=BUNDLE_KIND,
        config=config_to_dict(model.config),
        tensors=_tensors(model),
        tables=_tables(model.inputs),
        documents=_documents(model),
        blobs={name: trees.text.encode() for name, trees in _boosters(model).items()},
        data_digests=data_digests,
    )


def load_fraud_model(folder: Path) -> tuple[FraudModel, Bundle]:
    """Read a model from its bundle; every file is checked before it is parsed.

    Raises:
        ArtifactError: The bundle is missing, damaged, or of another kind or format.
    """
    bundle = read_bundle(folder, kind=BUNDLE_KIND)
    try:
        return _read(bundle), bundle
    except (ConfigError, DataError, LookupError, TypeError, ValueError, RuntimeError) as error:
        got = reason_of(error)
        raise ArtifactError(
            f"{folder}: expected a fraud model of this version, got {got}; train again"
        ) from error


def _tensors(model: FraudModel) -> dict[str, Arrays]:
    clusters, scorer = model.clusters, model.scorer
    weights = model.autoencoder.state_dict
    return {
        "autoencoder": {name: tensor.detach().numpy() for name, tensor in weights.items()},
        "clusters": {"centre": clusters.centre, "precision": clusters.precision},
        "priors": _arrays_of(model.priors),
        "excess": _arrays_of(model.excess),
        "judge": {
            "weights": scorer.weights,
            "heat_kinds": scorer.cumulative_kinds,
            "heat_weights": np.array(scorer.cumulative_weights),
        },
        "tails": _tail_arrays(model),
    }


def _tables(inputs: TransactionInputs) -> dict[str, pa.Table]:
    tables = encoder_tables(_COLUMNS, inputs.encoder)
    if inputs.context_terms is not None:
        tables[_CONTEXT] = vocabulary_table(inputs.context_terms)
    return tables


def _documents(model: FraudModel) -> dict[str, JsonValue]:
    documents: dict[str, JsonValue] = {
        "inputs": _inputs_document(model.inputs),
        f"{_COLUMNS}-encoder": encoder_document(model.inputs.encoder),
        "evidence": {
            "targets": list(model.autoencoder.columns),
            "kinds": list(model.scorer.kinds),
        },
    }
    if model.supervised is not None:
        documents[_SUPERVISED] = {
            "feature_names": list(model.supervised.meta_model.feature_names),
            "delay_days": model.supervised.delay_days,
        }
    return documents


def _inputs_document(inputs: TransactionInputs) -> JsonValue:
    """What is learnt of the columns, without terms and scales."""
    return {
        "features": [[name, config_to_dict(kind)] for name, kind in inputs.features.items()],
        "has_counterparty": inputs.has_counterparty,
        "has_currency": inputs.has_currency,
        "context": inputs.context,
        "profile": list(inputs.account_features),
        "currency_levels": dict(inputs.currency_levels),
    }


def _tail_arrays(model: FraudModel) -> Arrays:
    """Numbers of all calibrations, those of the kinds of evidence side by side."""
    scorer = model.scorer
    tails: dict[str, Sequence[Tail]] = {
        "kinds": scorer.tails,
        "own": [scorer.transaction_tail],
        "plain": [scorer.plain_tail],
        "combined": [scorer.combined_tail],
        "account": [model.account_tail],
    }
    if model.supervised is not None:
        tails["supervised"] = [model.supervised.tail]
    if model.supervised_account_tail is not None:
        tails["supervised_account"] = [model.supervised_account_tail]
    quantiles = {
        f"{name}_quantiles": np.stack([tail.quantiles for tail in group])
        for name, group in tails.items()
    }
    numbers = {
        f"{name}_{field}": np.array([getattr(tail, attribute) for tail in group])
        for name, group in tails.items()
        for field, attribute in _TAIL_NUMBERS.items()
    }
    return {**quantiles, **numbers}


def _boosters(model: FraudModel) -> dict[str, Booster]:
    """Trees by the name of their blob: those that the model has."""
    supervised = model.supervised
    trees = {
        _EVIDENCE_TREES: model.scorer.booster,
        _LABEL_TREES: None if supervised is None else supervised.meta_model.booster,
    }
    return {name: booster for name, booster in trees.items() if booster is not None}


def _read(bundle: Bundle) -> FraudModel:
    config = parse_config(FraudConfig, bundle.config, source="config")
    inputs = _read_inputs(bundle)
    evidence = cast("dict[str, list[str]]", bundle.document("evidence"))
    weights, tails = bundle.tensors("autoencoder"), bundle.tensors("tails")
    return FraudModel(
        config=config,
        inputs=inputs,
        autoencoder=FittedAutoencoder.restore(
            config.autoencoder,
            InputColumns.of(inputs.encoder, evidence["targets"]),
            {name: torch.from_numpy(array) for name, array in weights.items()},
        ),
        clusters=Clusters(**bundle.tensors("clusters")),
        priors=Priors(**_values(bundle, "priors")),
        excess=Excess(**_values(bundle, "excess")),
        scorer=_read_scorer(bundle, tails, tuple(evidence["kinds"])),
        account_tail=_read_tail(tails, "account"),
        supervised=_read_supervised(bundle, tails),
        supervised_account_tail=(
            _read_tail(tails, "supervised_account") if "supervised_account_rates" in tails else None
        ),
    )


def _read_inputs(bundle: Bundle) -> TransactionInputs:
    document = cast("dict[str, Any]", bundle.document("inputs"))
    features = dict(document["features"])
    context = document["context"]
    return TransactionInputs(
        features={
            name: parse_config(FeatureConfig, kind, source=name) for name, kind in features.items()
        },
        has_counterparty=document["has_counterparty"],
        has_currency=document["has_currency"],
        context=context,
        context_terms=vocabulary_of(bundle.table(_CONTEXT)) if context else None,
        account_features=tuple(document["profile"]),
        currency_levels=document["currency_levels"],
        encoder=read_encoder(bundle, _COLUMNS),
    )


def _read_scorer(bundle: Bundle, tails: Arrays, kinds: tuple[str, ...]) -> EvidenceScorer:
    arrays = bundle.tensors("judge")
    of_day, of_fortnight = arrays["heat_weights"].tolist()
    tails_of_kinds = _read_tails(tails, "kinds")
    for of_kinds in (tails_of_kinds, arrays["weights"], arrays["heat_kinds"]):
        if len(of_kinds) != len(kinds):
            raise ValueError(f"{len(of_kinds)} calibrations or weights of {len(kinds)} kinds")
    return EvidenceScorer(
        kinds=kinds,
        tails=tails_of_kinds,
        weights=arrays["weights"],
        cumulative_kinds=arrays["heat_kinds"],
        cumulative_weights=(of_day, of_fortnight),
        booster=_read_booster(bundle, _EVIDENCE_TREES),
        transaction_tail=_read_tail(tails, "own"),
        plain_tail=_read_tail(tails, "plain"),
        combined_tail=_read_tail(tails, "combined"),
    )


def _read_supervised(bundle: Bundle, tails: Arrays) -> Supervised | None:
    booster = _read_booster(bundle, _LABEL_TREES)
    if booster is None:
        return None
    document = cast("dict[str, Any]", bundle.document(_SUPERVISED))
    return Supervised(
        meta_model=MetaModel(booster=booster, feature_names=tuple(document["feature_names"])),
        tail=_read_tail(tails, "supervised"),
        delay_days=document["delay_days"],
    )


def _read_tails(arrays: Arrays, name: str) -> tuple[Tail, ...]:
    numbers = {
        attribute: arrays[f"{name}_{field}"].tolist() for field, attribute in _TAIL_NUMBERS.items()
    }
    return tuple(
        Tail(quantiles=quantiles_Q, **{key: values[place] for key, values in numbers.items()})
        for place, quantiles_Q in enumerate(arrays[f"{name}_quantiles"])
    )


def _read_tail(arrays: Arrays, name: str) -> Tail:
    (tail,) = _read_tails(arrays, name)
    return tail


def _read_booster(bundle: Bundle, name: str) -> Booster | None:
    if f"blobs/{name}.bin" not in bundle.manifest.files:
        return None
    return Booster(text=bundle.blob(name).decode())


def _arrays_of(values: NamedTuple) -> Arrays:
    """Fields of a named tuple as arrays; numbers become arrays without dimensions."""
    return {name: np.asarray(value) for name, value in values._asdict().items()}


def _values(bundle: Bundle, name: str) -> dict[str, Any]:
    """The fields that `_arrays_of` was given."""
    arrays = bundle.tensors(name).items()
    return {field: array if array.ndim else array.item() for field, array in arrays}
