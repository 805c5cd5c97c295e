"""Lets clients in: XML-RPC at /kojihub, files at /kojifiles, small pages at /koji; HTTP with keep-alive, or HTTPS.

With a TLS context that asks for client certificates, /kojihub/ssllogin logs in the user named by the certificate's CN.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.parsers.expat import ExpatError
from xmlrpc.client import Fault, ResponseError

import koji

from . import webpages
from .exports import RootExports
from .faults import Verdict
from .hub import Hub
from .methods_files import store_upload
from .methods_users import KOJI_VERSION
from .rpc import Dispatcher
from .sessions import Credentials
from .static import find_file

_HTML = b"<html><body><h1>It works!</h1></body></html>\n"


class HubServer:
    """Serves a hub from threads of its own. Port 0 takes a free one; `tls` makes it HTTPS."""

    def __init__(self, hub: Hub, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.hub = hub
        self._http = _HTTPServer((host, port), hub, tls)
        scheme = "https" if tls else "http"
        base = f"{scheme}://{host}:{self._http.server_address[1]}"
        self.hub_url = f"{base}/kojihub"
        self.topurl = f"{base}/kojifiles"
        self.weburl = f"{base}/koji"
        hub.bus.base_url = base
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, name="hub-server"
        )

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    def client_config(self) -> str:
        """A configuration for the koji command line, which runs without one for no server: `koji -c FILE ...`."""
        return (
            f"[koji]\nserver = {self.hub_url}\ntopurl = {self.topurl}\nweburl = {self.weburl}\n"
            "poll_interval = 1\nanon_retry = false\nmax_retries = 2\nretry_interval = 1\n"
        )

    def start(self) -> HubServer:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and cut the connections that are open. The hub lives on."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.cut_connections()
        self._http.server_close()

    def __enter__(self) -> HubServer:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = False  # so that server_close() waits for the threads
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], hub: Hub, tls: ssl.SSLContext | None) -> None:
        super().__init__(address, _Handler)
        self.hub = hub
        self.tls = tls
        self.dispatcher = Dispatcher(hub, RootExports)
        self._connections: set[socket.socket] = set()
        self._closing = False
        self._guard = threading.Lock()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        if self.tls is not None:
            try:
                request = self.tls.wrap_socket(request, server_side=True)
            except OSError:
                request.close()  # no handshake, no conversation: the client has been told by TLS itself
                return
        with self._guard:
            late = self._closing
            if not late:
                self._connections.add(request)
        if late:
            self.shutdown_request(request)
            return
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._guard:
                self._connections.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away in mid-sentence are none of our business; the traceback of anything else is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def cut_connections(self) -> None:
        """Now, and as soon as one begins that was accepted already."""
        with self._guard:
            self._closing = True
            for connection in self._connections:
                with contextlib.suppress(OSError):  # it may have ended by itself
                    connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _HTTPServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536  # headers and body in one packet

    def log_message(self, format: str, *args: Any) -> None:
        """No access log: `hub.calls` is better."""

    # pages and files

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path.startswith("/kojihub"):
            self._send(HTTPStatus.METHOD_NOT_ALLOWED, b"", "text/plain", {"Allow": "POST"})
            return
        status = self.server.hub.faults.files_status
        if status is not None:
            self._send(HTTPStatus(status), b"outage\n", "text/plain")
        elif url.path.startswith("/koji/"):
            self._send_page(url.path, dict(parse_qsl(url.query)))
        else:
            self._send_file(unquote(url.path))

    do_HEAD = do_GET  # noqa: N815

    def _send_page(self, path: str, query: dict[str, str]) -> None:
        page = webpages.render(self.server.hub, path.removeprefix("/koji/"), query)
        if page is None:
            self._send(HTTPStatus.NOT_FOUND, b"no such page\n", "text/plain")
        else:
            self._send(HTTPStatus.OK, page.encode(), "text/html; charset=utf-8")

    def _send_file(self, path: str) -> None:
        found = find_file(self.server.hub.topdir, path.removeprefix("/kojifiles"))
        if found is None or not path.startswith("/kojifiles/"):
            self._send(HTTPStatus.NOT_FOUND, b"no such file\n", "text/plain")
        else:
            self._send(HTTPStatus.OK, found.data, found.content_type, {"Last-Modified": found.modified})

    # XML-RPC

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if url.path not in ("/kojihub", "/kojihub/ssllogin"):
            self._send(HTTPStatus.NOT_FOUND, b"no such hub\n", "text/plain")
            return
        query = dict(parse_qsl(url.query))
        params: tuple[Any, ...] = ()
        if "filename" in query:
            method = "rawUpload"
        else:
            try:
                params, method = koji.xmlrpcplus.loads(body)
            except (ExpatError, ResponseError, ValueError, TypeError):
                self._send(HTTPStatus.BAD_REQUEST, b"bad request\n", "text/plain")
                return
        verdict = self.server.hub.faults.judge(method)
        time.sleep(verdict.slow)
        if verdict.reset or verdict.cut_before:
            self._hang_up(reset=verdict.reset)
            return
        if verdict.http is not None or verdict.html:
            content = _HTML if verdict.html else b"outage\n"
            self._send(HTTPStatus(verdict.http or 200), content, "text/html")
            return
        if url.path.endswith("/ssllogin") and method == "sslLogin" and self._certified() is None:
            self._send(HTTPStatus.UNAUTHORIZED, b"", "text/plain", {"WWW-Authenticate": "Negotiate"})
            return
        reply = self._reply(method, params, query, body, verdict)
        if verdict.cut_after:
            self._hang_up(reset=False)
            return
        self._send(HTTPStatus.OK, reply.encode(), "text/xml", {"Koji-Version": KOJI_VERSION})

    def _reply(self, method: str, params: tuple[Any, ...], query: dict[str, str], body: bytes, verdict: Verdict) -> str:
        try:
            if verdict.offline is not None:
                raise Fault(koji.ServerOffline.faultCode, verdict.offline)
            credentials = self._credentials(query)
            if method == "rawUpload":
                result = self._upload(credentials, query, body)
            else:
                user = self.server.hub.world.user(self._certified() or "")
                result = self.server.dispatcher.answer(method, params, credentials, user)
            return str(koji.xmlrpcplus.dumps((result,), methodresponse=True))
        except Fault as fault:
            return str(koji.xmlrpcplus.dumps(fault))

    def _upload(self, credentials: Credentials | None, query: dict[str, str], body: bytes) -> dict[str, Any]:
        hub = self.server.hub
        try:
            if credentials is None:
                raise koji.ActionNotAllowed("you must be logged in to upload a file")
            with hub.locked():
                hub.sessions.authenticate(credentials, "rawUpload")
                hub.calls.add("rawUpload", (query["filepath"], query["filename"]))
                return store_upload(hub.topdir, query, body)
        except koji.GenericError as error:
            raise Fault(error.faultCode, str(error)) from error

    def _credentials(self, query: dict[str, str]) -> Credentials | None:
        """From the headers, or from the query string of clients that know no header-auth."""
        headers = self.headers
        session_id = headers.get("Koji-Session-Id") or query.get("session-id")
        if session_id is None:
            return None
        key = headers.get("Koji-Session-Key") or query.get("session-key") or ""
        callnum = headers.get("Koji-Session-Callnum") or query.get("callnum")
        try:
            return Credentials(int(session_id), key, int(callnum) if callnum is not None else None)
        except ValueError as error:
            raise Fault(koji.AuthError.faultCode, "Invalid session or bad credentials") from error

    def _certified(self) -> str | None:
        """The name in the client's certificate, which TLS has verified."""
        if not isinstance(self.connection, ssl.SSLSocket):
            return None
        certificate: dict[str, Any] = dict(self.connection.getpeercert() or {})
        names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
        return str(names[0]) if names else None

    # transport

    def _hang_up(self, reset: bool) -> None:
        """Close the connection without an answer; with `reset` rudely."""
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(
        self, status: HTTPStatus, content: bytes, content_type: str, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
