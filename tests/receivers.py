"""Receivers of webhooks for tests: a real HTTP server in this process that answers what it is told to."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from demo.ports import free_port

LOCAL = ("127.0.0.0/8",)


@dataclass(frozen=True)
class Request:
    """What came in."""

    path: str
    headers: Message
    text: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The event in it."""
        found: dict[str, Any] = json.loads(self.text)
        return found

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


Handler = BaseHTTPRequestHandler
Behaviour = Callable[[Handler], None]


def says(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    """Answer with this; `Retry_After="3"` is the header Retry-After."""

    def answer(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def sends(*parts: bytes, every: float = 0.0, until: threading.Event | None = None) -> Behaviour:
    """Send raw bytes, perhaps slowly, and close the connection."""

    def answer(handler: Handler) -> None:
        waiting = until or threading.Event()
        with suppress(OSError):
            for part in parts:
                handler.wfile.write(part)
                handler.wfile.flush()
                if every and waiting.wait(every):
                    break
        handler.close_connection = True

    return answer


def waits(until: threading.Event) -> Behaviour:
    """Say nothing until that happens."""

    def answer(handler: Handler) -> None:
        until.wait(120)
        with suppress(OSError):
            says(200)(handler)

    return answer


@dataclass
class Receiver:
    """A server; each request gets the next of `answers`, and when there are none left, `otherwise`."""

    address: str
    requests: list[Request] = field(default_factory=list)
    answers: list[Behaviour] = field(default_factory=list)
    otherwise: Behaviour = field(default_factory=lambda: says(204))

    def url(self, path: str = "/hook", scheme: str = "http") -> str:
        return f"{scheme}://{self.address}{path}"

    def names(self) -> list[str]:
        """The packages that it was told of."""
        return [request.event["body"]["name"] for request in self.requests]


@contextmanager
def receiver(otherwise: Behaviour = says(204), *, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver that runs until the end of the block."""
    found = Receiver("", otherwise=otherwise)

    class OneRequest(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"]))
            found.requests.append(Request(self.path, self.headers, text))
            behaviour = found.answers.pop(0) if found.answers else found.otherwise
            with suppress(ConnectionError):
                behaviour(self)

        def log_message(self, *args: object) -> None:
            """Nothing is written."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Clients that hang up are part of the tests."""

    with Server(("127.0.0.1", 0), OneRequest) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        found.address = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


def nobody() -> str:
    """An address at which nobody listens."""
    return f"http://127.0.0.1:{free_port()}/hook"


def settings(**more: Any) -> Mapping[str, Any]:
    """Settings of webhooks that allow receivers like these."""
    return {"allow_http": True, "allowed_networks": LOCAL, **more}
