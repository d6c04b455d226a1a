"""What an error of MLflow, the network or the disk means for the event that was being sent."""

from __future__ import annotations

import socket
from http import HTTPStatus
from typing import Literal

from recsys.errors import RecsysError
from recsys.tracking.client import redacted

Meaning = Literal["refused", "missing", "unavailable", "unclear"]
"""`refused`: sending it again would fail again. `missing`: the run, or the server, does not exist.
`unavailable`: it may work later. `unclear`: unknown, so try again later, after the others."""

_REFUSED = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, 422}


class UnavailableError(RecsysError):
    """The tracking server cannot be reached, or does not answer properly."""


class RefusedError(RecsysError):
    """The tracker will never accept this event."""


def meaning_of(error: Exception) -> Meaning:
    """What an error means for the event that caused it."""
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
    """The connection error that caused an error; the error itself if there is none."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionError | TimeoutError | socket.gaierror):
            return cause
        cause = cause.__cause__ or cause.__context__
    return error
