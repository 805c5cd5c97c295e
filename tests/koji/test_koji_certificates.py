"""Logging in with a client certificate, over real TLS."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.hub import Hub, HubServer
from koschei.errors import KojiAuthError, KojiOutage
from koschei.koji.session import KojiSession
from tests.certificates import Pair, certificate, write, write_public

from .conftest import koji_config


@pytest.fixture
def authority() -> Pair:
    return certificate("authority")


@pytest.fixture
def serverca(tmp_path: Path, authority: Pair) -> str:
    return write_public(tmp_path / "ca.pem", authority)


@pytest.fixture
def server(tmp_path: Path, authority: Pair, serverca: str) -> Iterator[HubServer]:
    hub = Hub(tmp_path / "top")
    hub.add_user("koschei", "unused")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(write(tmp_path / "server.pem", certificate("hub", authority)))
    tls.load_verify_locations(serverca)
    tls.verify_mode = ssl.CERT_OPTIONAL
    with HubServer(hub, tls=tls) as server:
        yield server
    hub.close()


def ssl_session(url: str, **arguments: str) -> KojiSession:
    return KojiSession(
        koji_config(url, login_method="ssl_login", login_args=arguments, session_opts={"retry_interval": 0}),
        sleep=lambda seconds: None,
    )


def test_a_certificate_says_who_we_are_in_every_call(tmp_path, authority, serverca, server):
    cert = write(tmp_path / "koschei.pem", certificate("koschei", authority))
    with ssl_session(server.hub_url, cert=cert, serverca=serverca) as session:
        assert session.read("getLoggedInUser")["name"] == "koschei"
        server.hub.faults.close_sessions()
        assert session.read("getLoggedInUser")["name"] == "koschei"


def test_a_certificate_of_nobody_is_not_let_in(tmp_path, authority, serverca, server):
    cert = write(tmp_path / "nobody.pem", certificate("nobody", authority))
    with ssl_session(server.hub_url, cert=cert, serverca=serverca) as session, pytest.raises(KojiAuthError):
        session.read("getLoggedInUser")


def test_an_outage_during_a_certificate_login_is_not_blamed_on_the_certificate(tmp_path, authority, serverca, server):
    cert = write(tmp_path / "koschei.pem", certificate("koschei", authority))
    with ssl_session(server.hub_url, cert=cert, serverca=serverca) as session:
        server.hub.faults.offline("back soon")
        with pytest.raises(KojiOutage, match="back soon"):
            session.read("getLoggedInUser")
        server.hub.faults.clear()
        server.hub.faults.http(503)
        with pytest.raises(KojiOutage, match="503"):
            session.read("getLoggedInUser")
        server.hub.faults.clear()
        assert session.read("getLoggedInUser")["name"] == "koschei"


def test_a_hub_whose_certificate_cannot_be_verified_is_not_talked_to(tmp_path, authority, server):
    stranger = certificate("stranger")
    trusted = write_public(tmp_path / "stranger.pem", stranger)
    cert = write(tmp_path / "koschei.pem", certificate("koschei", authority))
    session = ssl_session(server.hub_url, cert=cert, serverca=trusted)
    with session, pytest.raises(KojiOutage, match="certificate"):
        session.read("getLoggedInUser")
    assert server.hub.calls.requests == 0
