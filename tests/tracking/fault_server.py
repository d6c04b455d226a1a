"""A tracking server that fails in a chosen way, on the loopback interface."""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, get_args

FaultMode = Literal[
    "refuse",
    "hang",
    "slow",
    "500",
    "429",
    "401",
    "404",
    "bad JSON",
    "cut body",
    "redirect",
    "dies",
    "empty",
]
HANG_S = 120.0
"""Only what hangs takes so long, however busy the machine is."""
MODES: tuple[FaultMode, ...] = get_args(FaultMode)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server says to a request."""

    status: int
    """HTTP status."""
    headers: Mapping[str, str]
    """Headers but for the length."""
    body: bytes
    """The body."""


_JSON = {"Content-Type": "application/json"}
_OBJECT = Answer(status=200, headers=_JSON, body=b'{"pad": "............"}')
_ANSWERS: dict[str, Answer] = {
    "500": Answer(status=500, headers={}, body=b"<h1>broken</h1>"),
    "429": Answer(status=429, headers={"Retry-After": "3600"}, body=b"later"),
    "401": Answer(status=401, headers={}, body=b"who are you?"),
    "404": Answer(status=404, headers={}, body=b"<h1>nothing here</h1>"),
    "bad JSON": Answer(status=200, headers=_JSON, body=b'{"experiment": {"name"'),
    "empty": Answer(status=200, headers={}, body=b""),
}

Backend = Callable[[str, str, Mapping[str, str], bytes], Answer]
"""Answers method, path with query, headers and body, as a sound server does."""


class FaultServer:
    """A server that fails in one way.

    Args:
        mode: The way.
        backend: A sound server behind it, asked by the modes `slow` and `dies`; without one they
            answer every request with an empty JSON object.
        after: Requests that `dies` answers. The next one is done and not answered any more.
        delay_s: Seconds that `slow` takes for a request before it does it.
        location: Where `redirect` leads to.
        port: Port to listen on; a free one if not given.
    """

    def __init__(
        self,
        mode: FaultMode,
        *,
        backend: Backend | None = None,
        after: int = 0,
        delay_s: float = 1.0,
        location: str = "",
        port: int = 0,
    ) -> None:
        self.mode, self.backend, self.after = mode, backend, after
        self.delay_s, self.location, self.port = delay_s, location, port
        self.requests: list[str] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Listen, or hold a port on which nobody listens."""
        if self.mode == "refuse":
            self._held = socket.socket()
            self._held.bind(("127.0.0.1", self.port))
            self.port = int(self._held.getsockname()[1])
            return self
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop; requests that hang end without an answer."""
        self.closing.set()
        if self.mode == "refuse":
            self._held.close()
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def uri(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """All bytes of the answer; none if the connection is to end without one."""
        with self._lock:
            self.requests.append(f"{method} {path}")
            number = len(self.requests)
        if self.mode == "hang":
            self.closing.wait()
            return b""
        if self.mode == "slow":
            self.closing.wait(self.delay_s)
        if self.mode == "dies" and number > self.after + 1:
            return b""
        said = self._said(method, path, headers, body)
        if self.mode == "dies" and number > self.after:
            return b""
        raw = _raw(said)
        return raw[: -len(said.body) // 2] if self.mode == "cut body" else raw

    def _said(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if self.mode in {"slow", "dies"} and self.backend is not None:
            return self.backend(method, path, headers, body)
        if self.mode == "redirect":
            return Answer(status=302, headers={"Location": self.location + path}, body=b"")
        return _ANSWERS.get(self.mode, _OBJECT)


def _handler(server: FaultServer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def handle_request(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            raw = server.answer(
                self.command, self.path, dict(self.headers), self.rfile.read(length)
            )
            with contextlib.suppress(OSError):  # the client has given up
                self.wfile.write(raw)
            self.close_connection = True

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    return Handler


def _raw(said: Answer) -> bytes:
    fields = {**said.headers, "Content-Length": str(len(said.body)), "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    phrase = HTTPStatus(said.status).phrase
    return f"HTTP/1.1 {said.status} {phrase}\r\n{head}\r\n".encode() + said.body


@contextlib.contextmanager
def mlflow_backend(database: Path) -> Iterator[Backend]:
    """MLflow's own server on a database, in this process: its answers without its port."""
    names = {
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{database}",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(database.parent / "served"),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    }
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    from mlflow.server import app, handlers

    stores = ("_tracking_store", "_model_registry_store", "_artifact_repo")
    old = {name: getattr(handlers, name) for name in stores}
    for name in stores:
        setattr(handlers, name, None)

    def ask(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        client: Any = app.test_client()
        kept = {name: value for name, value in headers.items() if name != "Connection"}
        said = client.open(path, method=method, headers=kept, data=body)
        kind = {"Content-Type": said.headers.get("Content-Type", "")}
        return Answer(status=said.status_code, headers=kind, body=said.get_data())

    try:
        yield ask
    finally:
        for name, value in old.items():
            setattr(handlers, name, value)
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def wait_until(condition: Callable[[], bool], *, within_s: float = HANG_S) -> None:
    """Wait for what a thread does that was left to itself."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "expected an end of waiting, got none"
        time.sleep(0.02)
