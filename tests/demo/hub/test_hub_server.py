"""The server besides XML-RPC: files, pages, certificates, and what it refuses."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import httpx
import koji
import pytest

from demo.hub import Hub, HubServer
from tests.certificates import certificate, write

SRC = "../packages/bash/5.2.37/1.fc43/src/bash-5.2.37-1.fc43.src.rpm"


def test_serves_repositories_and_logs(hub: Hub, server: HubServer) -> None:
    answer = httpx.get(f"{server.topurl}/repos/f43-build/latest/x86_64/repodata/repomd.xml")
    assert answer.status_code == 200
    assert "<repomd" in answer.text
    with hub.locked():
        task = hub.submit(SRC, "f43", {"scratch": True}, 2, 30)
    hub.wait_task(task.id)
    log = httpx.get(f"{server.topurl}/work/{koji.pathinfo.taskrelpath(task.children[1])}/build.log")
    assert log.headers["Content-Type"] == "text/plain"
    assert "Child return code was: 0" in log.text
    head = httpx.head(str(log.url))
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    "path", ["nothing", "repos", "../secret", "%2e%2e/secret", "repos/../../secret", "link", "a%00b", "/etc/passwd"]
)
def test_serves_nothing_outside_its_directory(hub: Hub, server: HubServer, path: str) -> None:
    (hub.topdir.parent / "secret").write_text("secret")
    (hub.topdir / "link").symlink_to("../secret")
    assert httpx.get(f"{server.topurl}/{path}").status_code == 404


def test_files_can_be_away_while_the_hub_is_there_and_the_other_way_round(hub: Hub, server: HubServer) -> None:
    repomd = f"{server.topurl}/repos/f43-build/1/x86_64/repodata/repomd.xml"
    hub.faults.files(503)
    assert httpx.get(repomd).status_code == 503
    assert httpx.post(server.hub_url, content=koji.xmlrpcplus.dumps((), "getAPIVersion")).status_code == 200
    hub.faults.clear()
    hub.faults.http(502)
    assert httpx.get(repomd).status_code == 200
    assert httpx.post(server.hub_url, content=koji.xmlrpcplus.dumps((), "getAPIVersion")).status_code == 502


def test_a_connection_that_begins_while_the_server_stops_is_cut_too(server: HubServer) -> None:
    server._http.cut_connections()
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as late:
        assert late.recv(1) == b""


def test_get_is_not_allowed_on_the_hub_and_garbage_is_a_bad_request(server: HubServer) -> None:
    got = httpx.get(server.hub_url)
    assert (got.status_code, got.headers["Allow"]) == (405, "POST")
    for body in (b"", b"<methodCall>", b"\xff\xfe nonsense"):
        assert httpx.post(server.hub_url, content=body).status_code == 400
    assert httpx.post(f"{server.weburl}/elsewhere", content=b"").status_code == 404


def test_uploads_cannot_leave_the_work_directory(hub: Hub, server: HubServer) -> None:
    session = koji.ClientSession(server.hub_url, {"user": "koschei", "password": "secret"})
    session.login()
    victim = hub.topdir.parent / "victim"
    victim.write_text("untouched")
    for path in ("../..", "/tmp", "a/../../.."):
        with pytest.raises(koji.GenericError, match="Invalid file name"):
            session._callMethod("rawUpload", (b"evil", 0, path, "victim"), {"overwrite": True})
    assert victim.read_text() == "untouched"
    session.rsession.close()


def test_pages_of_tasks_builds_and_packages_exist(server: HubServer) -> None:
    task = httpx.get(f"{server.weburl}/taskinfo", params={"taskID": 1})
    assert "buildSRPMFromSCM" in httpx.get(f"{server.weburl}/taskinfo", params={"taskID": 2}).text
    assert task.headers["Content-Type"].startswith("text/html")
    assert "bash-5.2.37-1.fc43" in httpx.get(f"{server.weburl}/buildinfo", params={"buildID": 1}).text
    assert "bash-5.2.37-1.fc43" in httpx.get(f"{server.weburl}/packageinfo", params={"packageID": "bash"}).text
    for kind, name in (("package", "bash"), ("build", "bash-5.2.37-1.fc43")):
        search = {"match": "exact", "type": kind, "terms": name}
        assert "bash-5.2.37-1.fc43" in httpx.get(f"{server.weburl}/search", params=search).text
    for missing in ("taskinfo?taskID=999", "taskinfo?taskID=x", "buildinfo", "nosuchpage", "search?type=package"):
        assert httpx.get(f"{server.weburl}/{missing}").status_code == 404


def test_ssllogin_without_a_certificate_is_unauthorized(server: HubServer) -> None:
    body = koji.xmlrpcplus.dumps((None,), "sslLogin")
    answer = httpx.post(f"{server.hub_url}/ssllogin", content=body)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Negotiate")


def test_a_client_certificate_logs_in_the_user_it_names(hub: Hub, tmp_path: Path) -> None:
    signing = certificate("authority")
    authority = write(tmp_path / "authority.pem", signing)
    server_pem, client_pem = (
        write(tmp_path / f"{name}.pem", certificate(name, signing)) for name in ("localhost", "koschei")
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_pem)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_OPTIONAL
    with HubServer(hub, tls=context) as server:
        session = koji.ClientSession(server.hub_url.replace("127.0.0.1", "localhost"))
        session.ssl_login(client_pem, None, authority)
        user = session.getLoggedInUser()
        assert (user["name"], user["authtype"]) == ("koschei", koji.AUTHTYPES["SSL"])
        session.rsession.close()
