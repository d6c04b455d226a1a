"""What an error of MLflow, of the network or of the disk means for what was to be told."""

from __future__ import annotations

import socket
from http import HTTPStatus
from typing import Literal

from recsys.errors import RecsysError
from recsys.tracking.client import redacted

Meaning = Literal["refused", "missing", "unavailable", "unclear"]
"""`refused`: the same again would be refused again. `missing`: the run, or the server, is not
there. `unavailable`: later it may work. `unclear`: nobody knows, so later, but others first."""

_REFUSED = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, 422}


class UnavailableError(RecsysError):
    """The tracking server does not do its work."""


class RefusedError(RecsysError):
    """Something can never be told."""


def meaning_of(error: Exception) -> Meaning:
    """What an error means for the event that it met."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, UnavailableError):
        return "unavailable"
    if isinstance(error, RefusedError):
        return "refused"
    if isinstance(error, MlflowException):
        return _meaning_of_status(error.get_http_status_code())
    if isinstance(error, OSError):  # those of the network are of this kind too
        response = getattr(error, "response", None)
        return "unavailable" if response is None else _meaning_of_status(response.status_code)
    return "unclear"


def message_of(uri: str, error: BaseException) -> str:
    """An error in one line without secrets."""
    if isinstance(error, RecsysError):
        return redacted(str(error))
    text = redacted(" ".join(str(_cause(error)).split()))[:300] or type(error).__name__
    return f"tracking at {redacted(uri)}: expected an answer, got: {text}"


def _meaning_of_status(status: int) -> Meaning:
    if status in _REFUSED:
        return "refused"
    return "missing" if status == HTTPStatus.NOT_FOUND else "unavailable"


def _cause(error: BaseException) -> BaseException:
    """The refused or lost connection below an error, if that is what it is; or the error itself."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionError | TimeoutError | socket.gaierror):
            return cause
        cause = cause.__cause__ or cause.__context__
    return error
