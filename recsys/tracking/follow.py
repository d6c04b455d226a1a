"""After a rollback, moves the alias of the registered model to the version that is live again."""

from __future__ import annotations

import threading

from recsys.tracking.answers import message_of
from recsys.tracking.client import TrackingConfig, load_mlflow, tracking_uri
from recsys.tracking.registry import ORDER

_BUDGET_S = 20.0


def point_alias(config: TrackingConfig, order: str) -> str | None:
    """Give the alias to the version that was published as a run.

    Whatever state the server is in, this ends within 20 seconds, and the rollback stays valid.

    Args:
        config: Where the model is registered.
        order: Order of publication of the run (`TrackedRun.log_model`).

    Returns:
        Why the alias did not move, in one line without secrets; None when it did.

    Raises:
        ConfigError: MLflow is not installed.
    """
    if not config.enabled:
        return None
    mlflow, uri = load_mlflow(), tracking_uri(config)
    outcome: list[str | None] = []

    def work() -> None:
        try:
            client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
            name = config.registered_model
            versions = client.search_model_versions(f"name = '{name}'")
            found = [one for one in versions if one.tags.get(ORDER) == order]
            if not found:
                outcome.append(f"no version of {name!r} is that of the run: the alias stays")
                return
            client.set_registered_model_alias(name, config.alias, found[0].version)
            outcome.append(None)
        except Exception as error:  # noqa: BLE001  MLflow raises what it likes; all is told
            outcome.append(f"{message_of(uri, error)}; the alias stays where it is")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(_BUDGET_S)
    return outcome[0] if outcome else "the tracking server took too long: the alias may have stayed"
