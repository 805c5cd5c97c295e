"""The health port: is the process alive, is it doing its work, and how much of it."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from koschei.errors import ConfigError

log = structlog.get_logger(__name__)

STUCK_SECONDS = 900.0
"""A process that has not said for this long that it goes on is not alive."""


class Pulse:
    """What a service knows of itself; written by its loop, read by the health port's threads."""

    def __init__(self, service: str) -> None:
        self._lock = threading.Lock()
        self._progressed = time.monotonic()
        self._facts: dict[str, Any] = {"service": service, "state": "starting"}

    def progress(self) -> None:
        """Work goes on."""
        self._progressed = time.monotonic()

    def standby(self) -> None:
        """Another process does the work."""
        with self._lock:
            self._facts["state"] = "standby"
            self._forget_failure()

    def success(self, now: datetime, detail: Mapping[str, Any]) -> None:
        """A pass ended well."""
        with self._lock:
            self._facts.update(state="working", last_success=now.isoformat(), detail=dict(detail))
            self._forget_failure()

    def failure(self, now: datetime, error: str, detail: Mapping[str, Any] | None = None) -> None:
        """A pass failed, wholly or (then it has a detail) in part."""
        with self._lock:
            self._facts.update(state="failing", error=error)
            self._facts.setdefault("failing_since", now.isoformat())
            if detail is not None:
                self._facts["detail"] = dict(detail)

    def _forget_failure(self) -> None:
        self._facts.pop("error", None)
        self._facts.pop("failing_since", None)

    def live(self) -> bool:
        """Whether the loop goes on."""
        return time.monotonic() - self._progressed < STUCK_SECONDS

    def ready(self) -> bool:
        """Whether the last pass ended well, or another process does the work."""
        with self._lock:
            return self._facts["state"] in ("working", "standby")

    def facts(self) -> dict[str, Any]:
        """Everything, for people."""
        with self._lock:
            return dict(self._facts)


class HealthServer:
    """Serves /healthz/live, /healthz/ready and /metrics while the block lasts; port 0 serves nothing."""

    def __init__(self, pulse: Pulse, host: str, port: int) -> None:
        """Takes the port. Raises ConfigError when it cannot be had."""
        self._server = None
        if port:
            try:
                self._server = _Server((host, port), pulse)
            except OSError as error:
                raise ConfigError(
                    f"the health port {host}:{port} cannot be opened ({error.strerror or error}): "
                    "set services.<name>.health_host and health_port to others (port 0: none)"
                ) from error

    def __enter__(self) -> Self:
        if self._server is not None:
            threading.Thread(target=self._server.serve_forever, args=(0.1,), name="health", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], pulse: Pulse) -> None:
        self.pulse = pulse
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own asks the name service who we are, which can take long, and for nothing.
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a request to the health port broke off", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    timeout = 10
    server: _Server

    def do_GET(self) -> None:
        pulse = self.server.pulse
        match self.path.partition("?")[0]:
            case "/healthz/live":
                self._json(200 if pulse.live() else 503, pulse.facts())
            case "/healthz/ready":
                self._json(200 if pulse.ready() else 503, pulse.facts())
            case "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest())
            case _:
                self._json(404, {"error": "this port has /healthz/live, /healthz/ready and /metrics"})

    def _json(self, code: int, facts: Mapping[str, Any]) -> None:
        self._answer(code, "application/json", json.dumps(facts, default=str).encode() + b"\n")

    def _answer(self, code: int, content_type: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Probes come every few seconds; nobody reads about them."""
