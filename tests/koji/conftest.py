"""A hub that answers what a test tells it to: real HTTP and XML-RPC, no behaviour of its own but logging in."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xmlrpc.client import Fault

import pytest
from koji.xmlrpcplus import dumps, loads

from koschei.config import KojiConfig
from koschei.koji.session import KojiSession


@dataclass(frozen=True)
class Http:
    """An answer that is no XML-RPC."""

    status: int = 200
    body: bytes = b""
    promised: int | None = None
    """Content-Length, if it is not the body's."""


class Cut:
    """The connection is closed without an answer."""


@dataclass
class Hang:
    """No answer until `release` is set or the test ends, or `drip` bytes of one all the time."""

    release: threading.Event
    drip: bool = False


@dataclass
class Request:
    method: str
    params: tuple[Any, ...]
    headers: dict[str, str]
    path: str


Reply = Any
SESSION = {"session-id": 7, "session-key": "7-key", "header-auth": True}


@dataclass
class ScriptedHub:
    """Gives the replies said for a method, one per request; the last one for ever."""

    url: str = ""
    replies: dict[str, list[Reply]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    everything: list[Reply] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)

    def say(self, method: str, *replies: Reply) -> None:
        self.replies[method] = list(replies)

    def say_to_everything(self, *replies: Reply) -> None:
        """Replies to the next requests, whatever their method."""
        self.everything = list(replies)

    def methods(self) -> list[str]:
        return [request.method for request in self.requests]

    def reply(self, method: str, params: tuple[Any, ...]) -> Reply:
        if self.everything:
            return self.everything.pop(0)
        if method in self.replies:
            queue = self.replies[method]
            found = queue.pop(0) if len(queue) > 1 else queue[0]
            return found(*params) if callable(found) else found
        if method == "multiCall":
            return [self._element(call["methodName"], tuple(call["params"])) for call in params[0]]
        if method in ("login", "sslLogin"):
            return SESSION
        return None if method == "logout" else Fault(1000, f"Invalid method: {method}")

    def _element(self, method: str, params: tuple[Any, ...]) -> Any:
        reply = self.reply(method, params)
        if isinstance(reply, Fault):
            return {"faultCode": reply.faultCode, "faultString": reply.faultString, "traceback": []}
        return [reply]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: ScriptedHub

    def do_POST(self) -> None:
        params, method = loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.hub.requests.append(Request(method, params, dict(self.headers), self.path))
        self.hub.arrived.set()
        match self.hub.reply(method, params):
            case Cut():
                self.close_connection = True
            case Hang() as hang:
                self._hang(hang)
            case Http() as http:
                self._send(http.status, http.body, http.promised)
            case Fault() as fault:
                self._send(200, dumps(fault).encode())
            case value:
                self._send(200, dumps((value,), methodresponse=1).encode())

    def _hang(self, hang: Hang) -> None:
        self.close_connection = True
        if hang.drip:
            self.send_response(200)
            self.end_headers()
        while not hang.release.wait(0.05) and not self.hub.closing.is_set():
            if hang.drip:
                try:
                    self.wfile.write(b" ")
                except OSError:
                    return

    def _send(self, status: int, body: bytes, promised: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(promised or len(body)))
        self.end_headers()
        self.wfile.write(body)
        if promised:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what some tests are about; anything else is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


@pytest.fixture
def hub() -> Iterator[ScriptedHub]:
    scripted = ScriptedHub()
    handler = type("Handler", (_Handler,), {"hub": scripted})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    scripted.url = f"http://127.0.0.1:{server.server_address[1]}/kojihub"
    yield scripted
    scripted.closing.set()
    server.shutdown()
    server.server_close()
    thread.join()


def koji_config(server: str, **settings: Any) -> KojiConfig:
    login = {"login_method": "login", "login_args": {"user": "koschei", "password": "secret"}}
    return KojiConfig(server=server, **{**login, **settings})


@pytest.fixture
def naps() -> list[float]:
    """Seconds that the session would have slept between tries."""
    return []


@pytest.fixture
def connect(hub: ScriptedHub, naps: list[float]) -> Iterator[Callable[..., KojiSession]]:
    """Makes sessions with the hub that do not sleep; keyword arguments are settings, or the session's own."""
    sessions = []

    def make(**settings: Any) -> KojiSession:
        own = {name: settings.pop(name) for name in ("anonymous", "clock", "stop", "alive") if name in settings}
        server = settings.pop("server", hub.url)
        sessions.append(KojiSession(koji_config(server, **settings), sleep=naps.append, **own))
        return sessions[-1]

    yield make
    hub.replies.clear()
    hub.everything.clear()
    for session in sessions:
        session.close()


@pytest.fixture
def session(connect: Callable[..., KojiSession]) -> KojiSession:
    return connect()
