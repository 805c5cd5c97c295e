"""Posting to addresses that others chose: within a time limit, to public hosts only, and reading little of the answer.

The host's addresses are looked at where the connection is made, so that no change of its name in between can lead us
into a network of our own. Redirects are not followed and proxies of the environment not used, for the same reason.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import httpcore

from koschei.config.schema import WebhooksConfig
from koschei.errors import ConfigError

Address = IPv4Address | IPv6Address

LONGEST_ANSWER = 8192
"""Bytes of an answer that are read; its connection is closed if there are more."""
LONGEST_EXCERPT = 200
MAPPED = (IPv6Network("64:ff9b::/96"), IPv6Network("::ffff:0:0/96"))
"""IPv6 addresses whose last 32 bits are the IPv4 address that is really connected to (RFC 6052, RFC 4291)."""
TUNNELS = (IPv6Network("2002::/16"), IPv6Network("2001::/32"), IPv6Network("64:ff9b:1::/48"))
"""They may lead to any IPv4 address (6to4, Teredo, local NAT64), and no receiver of ours is there."""


# httpcore's have no common ancestor; host names that cannot be ones are a ValueError.
BROKEN = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)
FAULTS = (*BROKEN, httpcore.UnsupportedProtocol, OSError, ValueError)


@dataclass(frozen=True)
class Answer:
    """What became of a post. `status` is None without an HTTP answer; then, or if it is not 2xx, `error` says why.

    `retry_after`: the receiver's Retry-After in seconds or as an HTTP date (RFC 9110, 10.2.3), as it was sent.
    """

    seconds: float
    status: int | None = None
    error: str | None = None
    retry_after: str | None = None

    @property
    def delivered(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300


class Poster:
    """Posts, keeping the connection for the next; for one thread. Raises ConfigError when `ca_file` cannot be used."""

    def __init__(self, config: WebhooksConfig) -> None:
        self._timeout = config.timeout
        self._guard = _Guard(config.allowed_networks, config.connect_timeout)
        try:
            context = ssl.create_default_context(cafile=None if config.ca_file is None else str(config.ca_file))
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"webhooks.ca_file: {config.ca_file} cannot be used: {error}") from error
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, max_connections=1, keepalive_expiry=60, network_backend=self._guard
        )

    def post(self, url: str, headers: Mapping[str, str], text: bytes) -> Answer:
        """Post a text; whatever goes wrong is in the answer."""
        started = time.monotonic()
        self._guard.deadline = started + self._timeout
        limits = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout)
        fields = [*headers.items(), ("Content-Length", str(len(text))), ("Accept-Encoding", "identity")]
        try:
            with self._pool.stream(
                "POST", url, headers=fields, content=text, extensions={"timeout": limits}
            ) as response:
                return self._read(response, started)
        except FAULTS as error:
            return Answer(time.monotonic() - started, error=_words(error, self._timeout))

    def _read(self, response: httpcore.Response, started: float) -> Answer:
        body = b""
        # The status has been said: an answer that is cut off behind it is one, too.
        with suppress(*BROKEN):
            for chunk in response.iter_stream():
                body += chunk
                if len(body) > LONGEST_ANSWER:
                    break
        seconds, status = time.monotonic() - started, response.status
        if 200 <= status < 300:
            return Answer(seconds, status)
        found = {name.lower(): value.decode("latin-1") for name, value in response.headers}
        return Answer(seconds, status, _complaint(status, body), found.get(b"retry-after"))

    def close(self) -> None:
        """Close the connection."""
        self._pool.close()


def seconds_asked(value: str | None, now: float) -> float:
    """How many seconds a Retry-After asks to wait at the time `now` (seconds of the epoch); 0 for none, or nonsense."""
    if value is None:
        return 0.0
    if value.strip().isascii() and value.strip().isdigit():
        return float(value.strip()[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return 0.0


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet; one that carries an IPv4 address is what that one is."""
    if isinstance(address, IPv6Address):
        if any(address in network for network in MAPPED):
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        if any(address in network for network in TUNNELS):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def may_connect(address: Address, allowed: Iterable[str]) -> bool:
    """Whether an address is public, or in one of the networks `allowed` (like 10.0.0.0/8)."""
    plain = address.ipv4_mapped if isinstance(address, IPv6Address) and address.ipv4_mapped else address
    return is_public(address) or any(plain in ip_network(network) for network in allowed)


class _Guard(httpcore.NetworkBackend):
    """Connects to allowed addresses only, and ends everything at the deadline (seconds of the monotonic clock).

    Except for finding the host: only the system's resolver can end that, and it does (resolv.conf: timeout, attempts).
    """

    def __init__(self, allowed: Iterable[str], connect_timeout: float) -> None:
        self._allowed = tuple(allowed)
        self._connect_timeout = connect_timeout
        self._backend = httpcore.SyncBackend()
        self.deadline = 0.0

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """To the first allowed address of the host that answers."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} cannot be found: {error}") from error
        addresses = list(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))
        allowed = [address for address in addresses if may_connect(address, self._allowed)]
        if not allowed:
            listed = ", ".join(map(str, addresses))
            raise httpcore.ConnectError(
                f"{host} is not public ({listed}), and not connected to; webhooks.allowed_networks can allow it"
            )
        for number, address in enumerate(allowed, 1):
            try:
                limit = min(self._connect_timeout, self.left())
                stream = self._backend.connect_tcp(str(address), port, limit, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(allowed):
                    raise
            else:
                return _Stream(stream, self)
        raise AssertionError("unreachable")

    def left(self) -> float:
        """Seconds until the deadline. Raises httpcore.ReadTimeout when it is over."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("time is over")
        return left


class _Stream(httpcore.NetworkStream):
    """A connection on which no wait goes past the deadline: a byte now and then does not make a receiver fast."""

    def __init__(self, stream: httpcore.NetworkStream, guard: _Guard) -> None:
        self._stream = stream
        self._guard = guard

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._guard.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._guard.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, self._guard.left()), self._guard)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _complaint(status: int, body: bytes) -> str:
    """Why a status is no success, with the beginning of what the receiver said, on one line and printable."""
    shown = "".join(c if c.isprintable() else " " for c in body[:LONGEST_ANSWER].decode(errors="replace"))
    excerpt = " ".join(shown.split())[:LONGEST_EXCERPT]
    hint = " (redirects are not followed: give the address that it leads to)" if 300 <= status < 400 else ""
    return f"HTTP status {status}{hint}{excerpt and f': {excerpt}'}"


def _words(error: Exception, limit: float) -> str:
    if isinstance(error, httpcore.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, httpcore.TimeoutException):
        return f"no answer within {limit:g} s"
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{'' if isinstance(error, httpcore.ConnectError) else 'no HTTP answer: '}{text}"[:LONGEST_EXCERPT]
