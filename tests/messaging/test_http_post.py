"""Posting: whatever a receiver does is an answer in time, and nobody leads us into networks of our own."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschei.config.schema import WebhooksConfig
from koschei.errors import ConfigError
from koschei.messaging.http_post import LONGEST_EXCERPT, Answer, Poster, is_public, seconds_asked
from tests.certificates import certificate, write, write_public
from tests.receivers import Behaviour, nobody, receiver, says, sends, settings, waits

MakePoster = Callable[..., Poster]


@pytest.fixture
def poster() -> Iterator[MakePoster]:
    made = []

    def make(**more: Any) -> Poster:
        made.append(Poster(WebhooksConfig.model_validate(settings(**more))))
        return made[-1]

    yield make
    for one in made:
        one.close()


NAME = "hooks.example.org"


def name_means(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Have the system say that these are the addresses of NAME."""
    system = socket.getaddrinfo

    def answer(host: str, port: int, *rest: Any, **more: Any) -> list[Any]:
        if host != NAME:
            return system(host, port, *rest, **more)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


def post(poster: Poster, url: str) -> Answer:
    return poster.post(url, {"webhook-id": "1"}, b"{}")


def test_what_is_posted_arrives_as_it_is_and_the_connection_is_used_again(poster: MakePoster) -> None:
    ours = poster()
    with receiver(says(200, b"thanks")) as found:
        answers = [ours.post(found.url("/a?b=c"), {"X-One": "1"}, text.encode()) for text in ("{}", "ž")]
    assert [(answer.delivered, answer.status, answer.error) for answer in answers] == [(True, 200, None)] * 2
    assert [request.text for request in found.requests] == [b"{}", "ž".encode()]
    first = found.requests[0]
    assert (first.path, first.headers["X-One"], first.headers["Host"]) == ("/a?b=c", "1", found.address)
    assert first.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("behaviour", "status", "says_so"),
    [
        (says(500, b"oh\x1b[2J no\n<b>"), 500, "HTTP status 500: oh [2J no <b>"),
        (says(404), 404, "HTTP status 404"),
        (says(410, b"gone"), 410, "HTTP status 410: gone"),
        (sends(b""), None, "no HTTP answer: Server disconnected"),
        (sends(b"\x00\xff garbage \r\n\r\n"), None, "no HTTP answer: "),
        (sends(b"HTTP/1.1 200"), None, "no HTTP answer: "),
        (sends(b"HTTP/1.1 500 No\r\nContent-Length: 50\r\n\r\nonly this"), 500, "HTTP status 500: only this"),
        (sends(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000), None, "no HTTP answer: "),
        (sends(b"HTTP/1.1 500 No\r\n\r\n" + b"x" * 3_000_000), 500, f"HTTP status 500: {'x' * LONGEST_EXCERPT}"),
    ],
    ids=["500", "404", "410", "hangs up", "garbage", "cut", "cut behind the status", "huge header", "huge answer"],
)
def test_whatever_a_receiver_does_is_an_answer(
    poster: MakePoster, behaviour: Behaviour, status: int | None, says_so: str
) -> None:
    with receiver(behaviour) as found:
        answer = post(poster(), found.url())
    assert not answer.delivered
    assert answer.status == status
    assert answer.error is not None
    assert answer.error.startswith(says_so)
    assert len(answer.error) < LONGEST_EXCERPT + 120
    assert answer.error.isprintable()
    assert len(found.requests) == 1


def test_an_endless_answer_is_read_to_a_point(poster: MakePoster) -> None:
    with receiver(sends(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 50_000_000)) as found:
        answer = post(poster(), found.url())
    assert answer.delivered
    assert answer.seconds < 5


def test_redirects_are_not_followed(poster: MakePoster) -> None:
    with receiver() as other, receiver() as found:
        for status in (301, 302, 303, 307, 308):
            found.answers.append(says(status, Location=other.url()))
            answer = post(poster(), found.url())
            assert not answer.delivered
            assert answer.status == status
            assert "redirects are not followed" in (answer.error or "")
    assert other.requests == []


def test_a_receiver_that_says_nothing_is_given_up_in_time(poster: MakePoster) -> None:
    done = threading.Event()
    with receiver(waits(done)) as found:
        answer = post(poster(timeout=0.3), found.url())
        done.set()
    assert answer.error == "no answer within 0.3 s"
    assert 0.25 < answer.seconds < 30


def test_a_receiver_that_says_something_now_and_then_is_given_up_in_time(poster: MakePoster) -> None:
    done = threading.Event()
    trickle = sends(b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 1000, every=0.05, until=done)
    with receiver(trickle) as found:
        answer = post(poster(timeout=0.5), found.url())
        done.set()
    assert answer.error == "no answer within 0.5 s"
    assert answer.seconds < 30


def test_a_success_whose_body_never_ends_is_a_success_in_time(poster: MakePoster) -> None:
    done = threading.Event()
    trickle = sends(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", *[b"x"] * 1000, every=0.05, until=done)
    with receiver(trickle) as found:
        answer = post(poster(timeout=2), found.url())
        done.set()
    assert answer.delivered
    assert answer.seconds < 30


def test_nobody_at_the_address_and_no_such_host_are_told(poster: MakePoster) -> None:
    ours = poster()
    assert "Connection refused" in (post(ours, nobody()).error or "")
    assert "no-such-host.invalid cannot be found" in (post(ours, "http://no-such-host.invalid/").error or "")
    assert post(ours, f"http://{'x' * 70}.example/").error


# --- TLS


def tls(tmp_path: Path, name: str = "authority") -> tuple[ssl.SSLContext, str]:
    """A server's certificate, and the file with the authority to trust for it."""
    authority = certificate(name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(write(tmp_path / f"{name}-server.pem", certificate("localhost", authority)))
    return context, write_public(tmp_path / f"{name}.pem", authority)


def test_a_certificate_of_a_trusted_authority_is_accepted(poster: MakePoster, tmp_path: Path) -> None:
    context, ca_file = tls(tmp_path)
    with receiver(tls=context) as found:
        answer = post(poster(ca_file=ca_file), found.url(scheme="https"))
    assert answer.delivered, answer


def test_a_certificate_of_anybody_else_is_refused_before_anything_is_said(poster: MakePoster, tmp_path: Path) -> None:
    context, _ = tls(tmp_path)
    _, other = tls(tmp_path, "other")
    with receiver(tls=context) as found:
        for more in ({}, {"ca_file": other}):
            answer = post(poster(**more), found.url(scheme="https"))
            assert "CERTIFICATE_VERIFY_FAILED" in (answer.error or "")
    assert found.requests == []


def test_a_certificate_of_another_host_is_refused(
    poster: MakePoster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, ca_file = tls(tmp_path)
    name_means(monkeypatch, "127.0.0.1")
    with receiver(tls=context) as found:
        answer = post(poster(ca_file=ca_file), found.url(scheme="https").replace("127.0.0.1", NAME))
    assert "Hostname mismatch" in (answer.error or ""), answer
    assert found.requests == []


def test_a_receiver_that_does_not_speak_tls_is_told(poster: MakePoster) -> None:
    with receiver() as found:
        answer = post(poster(timeout=3), found.url(scheme="https"))
    assert answer.error
    assert found.requests == []


def test_authorities_that_cannot_be_read_are_a_mistake_in_the_settings(tmp_path: Path) -> None:
    (tmp_path / "nonsense.pem").write_text("nonsense")
    for name in ("nonsense.pem", "absent.pem"):
        with pytest.raises(ConfigError, match=name):
            Poster(WebhooksConfig(ca_file=tmp_path / name))


# --- where it may go

PRIVATE = (
    "127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 0.0.0.0 100.64.0.1 224.0.0.1 255.255.255.255 240.0.0.1 "
    "::1 :: fe80::1 fc00::1 ff02::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 64:ff9b::a00:1 2002:7f00:1:: "
    "2001:0:1:2:3:4:5:6 64:ff9b:1::1 2001:db8::1"
).split()
PUBLIC = "8.8.8.8 152.19.134.198 2600:2701:4000::1 ::ffff:8.8.8.8 64:ff9b::808:808".split()


@pytest.mark.parametrize("address", PRIVATE)
def test_these_addresses_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_these_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@given(st.ip_addresses(v=4))
def test_an_address_in_another_notation_is_as_public_as_it_was(address: IPv4Address) -> None:
    for prefix in ("::ffff:", "64:ff9b::"):
        assert is_public(ip_address(f"{prefix}{address}")) == is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "[::ffff:127.0.0.1]"])
def test_no_name_and_no_notation_leads_into_networks_of_our_own(host: str) -> None:
    ours = Poster(WebhooksConfig(allow_http=True))
    with receiver() as found:
        answer = post(ours, found.url().replace("127.0.0.1", host))
    ours.close()
    assert "is not public" in (answer.error or ""), answer
    assert found.requests == []


def test_a_name_that_means_something_else_when_it_is_connected_to_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with DNS rebinding: the name was public when the webhook was made."""
    name_means(monkeypatch, "10.0.0.7", "127.0.0.1")
    ours = Poster(WebhooksConfig(allow_http=True))
    with receiver() as found:
        answer = post(ours, found.url().replace("127.0.0.1", NAME))
    assert f"{NAME} is not public (10.0.0.7, 127.0.0.1)" in (answer.error or "")
    assert found.requests == []


def test_of_several_addresses_those_that_are_allowed_are_tried_in_turn(
    poster: MakePoster, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_means(monkeypatch, "10.0.0.7", "127.0.0.9", "127.0.0.1")
    with receiver() as found:
        answer = post(poster(), found.url().replace("127.0.0.1", NAME))
    assert answer.delivered
    assert answer.seconds < 3


# --- Retry-After


def test_retry_after_is_seconds_or_a_date() -> None:
    now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    later = format_datetime(datetime(2026, 11, 22, 12, 5, tzinfo=UTC), usegmt=True)
    asked = {"120": 120.0, " 7 ": 7.0, later: 300.0, "-5": 0.0, "soon": 0.0, "": 0.0, "1.5": 0.0, "9" * 50: 999999999.0}
    assert {value: seconds_asked(value, now.timestamp()) for value in asked} == asked
    assert seconds_asked(None, now.timestamp()) == 0
    assert seconds_asked(format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True), now.timestamp()) == 0


@given(st.text())
def test_no_retry_after_is_an_error(value: str) -> None:
    assert seconds_asked(value, 0.0) >= 0
