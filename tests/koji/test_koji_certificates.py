"""Logging in with a client certificate, over real TLS."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from demo.hub import Hub, HubServer
from koschei.errors import KojiAuthError, KojiOutage
from koschei.koji.session import KojiSession

from .conftest import koji_config

Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def certificate(name: str, issuer: Pair | None = None) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signer = issuer[1] if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    )
    return builder.sign(signer, hashes.SHA256()), key


def write(path: Path, pair: Pair) -> str:
    cert, key = pair
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(secret + cert.public_bytes(pem))
    return str(path)


@pytest.fixture
def authority() -> Pair:
    return certificate("authority")


@pytest.fixture
def serverca(tmp_path: Path, authority: Pair) -> str:
    path = tmp_path / "ca.pem"
    path.write_bytes(authority[0].public_bytes(serialization.Encoding.PEM))
    return str(path)


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
    path = tmp_path / "stranger.pem"
    path.write_bytes(stranger[0].public_bytes(serialization.Encoding.PEM))
    cert = write(tmp_path / "koschei.pem", certificate("koschei", authority))
    session = ssl_session(server.hub_url, cert=cert, serverca=str(path))
    with session, pytest.raises(KojiOutage, match="certificate"):
        session.read("getLoggedInUser")
    assert server.hub.calls.requests == 0
