"""The official client against the stand-in: logging in, multicalls, call numbers, retries."""

from __future__ import annotations

import concurrent.futures

import koji
import pytest
import requests

from demo.hub import Hub, HubServer
from tests.demo.hub.conftest import Client

SRC = "../packages/bash/5.2.37/1.fc43/src/bash-5.2.37-1.fc43.src.rpm"


def test_login_names_the_user_and_logout_ends_the_session(connect: Client) -> None:
    session = connect()
    assert session.getLoggedInUser()["name"] == "koschei"
    assert session.hub_version_str == "1.35.3"
    session.logout()
    assert session.getLoggedInUser() is None


def test_a_wrong_password_is_refused(connect: Client, server: HubServer) -> None:
    session = koji.ClientSession(server.hub_url, {"user": "koschei", "password": "wrong"})
    with pytest.raises(koji.AuthError, match="invalid username or password"):
        session.login()
    session.rsession.close()


def test_the_legacy_multicall_answers_one_by_one(connect: Client) -> None:
    session = connect()
    session.multicall = True
    session.getTaskInfo(1)
    session.getTaskInfo(99999)
    session.getTaskInfo(99999, strict=True)
    found, none, fault = session.multiCall()
    assert found[0]["id"] == 1
    assert none == [None]
    assert fault["faultCode"] == 1000
    assert fault["traceback"]


def test_the_new_multicall_raises_converted_faults(connect: Client) -> None:
    with connect().multicall(batch=2) as multicall:
        calls = [multicall.getTaskInfo(1), multicall.noSuchMethod(), multicall.getTag("f43")]
    assert calls[0].result["method"] == "build"
    with pytest.raises(koji.GenericError, match="Invalid method: noSuchMethod"):
        _ = calls[1].result
    assert calls[2].result["name"] == "f43"


def test_an_expired_session_is_renewed_by_the_client(connect: Client, hub: Hub) -> None:
    session = connect()
    hub.faults.expire_sessions()
    assert session.getLoggedInUser()["name"] == "koschei"
    assert hub.calls.count["login"] == 2


def test_a_renewed_session_with_a_write_behind_it_stays_broken_when_told_to(connect: Client, hub: Hub) -> None:
    session = connect()
    session.getAPIVersion()
    session.build(SRC, "f43", {"scratch": True})
    hub.faults.lie_after_renew()
    hub.faults.expire_sessions()
    with pytest.raises(koji.SequenceError, match=r"1 > 0 \(session 1\)"):
        session.getAPIVersion()
    with pytest.raises(koji.RetryError, match=r"unable to retry call 1 \(method getAPIVersion\) for session 1"):
        session.getAPIVersion()
    assert session.getAPIVersion() == 1


def test_a_closed_session_is_bad_credentials(connect: Client, hub: Hub) -> None:
    session = connect()
    hub.faults.close_sessions()
    with pytest.raises(koji.AuthError, match="Invalid session or bad credentials"):
        session.getLoggedInUser()


def test_a_lost_reply_to_a_write_is_a_retry_error_and_the_task_exists(connect: Client, hub: Hub) -> None:
    session = connect()
    before = len(hub.tasks)
    hub.faults.cut_reply_after("build")
    with pytest.raises(koji.RetryError):
        session.build(SRC, "f43", {"scratch": True})
    mine = {"owner": session.getLoggedInUser()["id"], "method": "build", "parent": None, "decode": True}
    (task,) = session.listTasks(mine)
    assert task["id"] == before + 1
    assert task["request"] == [SRC, "f43", {"scratch": True}]


def test_a_write_cut_off_before_it_happened_is_repeated(connect: Client, hub: Hub) -> None:
    session = connect()
    hub.faults.cut_reply_before("build")
    task = session.build(SRC, "f43", {"scratch": True})
    assert hub.calls.count["build"] == 1
    assert hub.tasks[task].method == "build"


def test_a_lost_reply_to_a_read_goes_unnoticed(connect: Client, hub: Hub) -> None:
    session = connect(login=False)
    hub.faults.cut_reply_after("getAPIVersion")
    assert session.getAPIVersion() == 1
    assert hub.calls.count["getAPIVersion"] == 2


def test_a_reset_connection_is_repeated_silently(connect: Client, hub: Hub) -> None:
    session = connect(login=False)
    hub.faults.reset_next("getAPIVersion")
    assert session.getAPIVersion() == 1
    assert hub.calls.count["getAPIVersion"] == 1


def test_an_http_error_is_repeated_max_retries_times(connect: Client, hub: Hub) -> None:
    session = connect(login=False, anon_retry=True, max_retries=2)
    hub.faults.http(503)
    with pytest.raises(requests.exceptions.HTTPError, match="503"):
        session.getAPIVersion()
    hub.faults.clear()
    assert session.getAPIVersion() == 1


def test_an_html_page_is_no_answer(connect: Client, hub: Hub) -> None:
    session = connect(anon_retry=True)
    hub.faults.html(2)
    assert session.getAPIVersion() == 1
    assert hub.calls.count["getAPIVersion"] == 1


def test_an_offline_hub_says_so_on_everything(connect: Client, hub: Hub) -> None:
    session = connect()
    hub.faults.offline("upgrade, back at noon")
    for call in (session.getAPIVersion, session.login):
        with pytest.raises(koji.ServerOffline, match="upgrade, back at noon"):
            call()


def test_a_locked_hub_lets_people_log_in_and_nothing_else(connect: Client, hub: Hub) -> None:
    hub.faults.lockout()
    session = connect()
    with pytest.raises(koji.ServerOffline, match="Server disabled for maintenance"):
        session.getAPIVersion()
    session.logout()


def test_a_slow_hub_runs_into_the_clients_timeout(connect: Client, hub: Hub) -> None:
    session = connect(login=False, timeout=0.1)
    hub.faults.slow("getAPIVersion", 1)
    with pytest.raises(requests.exceptions.Timeout):
        session.getAPIVersion()
    assert connect(login=False).getTag("f43")["name"] == "f43"


def test_writes_need_a_login(connect: Client) -> None:
    session = connect(login=False)
    for call in (lambda: session.build(SRC, "f43", {}), lambda: session.repo.request("f43-build")):
        with pytest.raises(koji.ActionNotAllowed, match="you must be logged in for this operation"):
            call()


def test_big_numbers_text_and_null_come_back_as_sent(connect: Client) -> None:
    values = [2**40, -(2**40), None, True, 1.5, "<&>ž", [1, [2]], {"a": {"b": None}}]
    assert connect(login=False).echo(*values) == values


def test_many_clients_at_once_get_their_own_answers(connect: Client, hub: Hub) -> None:
    def submit(number: int) -> str:
        session = connect()
        src = f"git+https://src.example.org/rpms/rnv#{number}"
        task = session.build(src, "f43", {"scratch": True})
        return str(session.getTaskInfo(task, request=True)["request"][0])

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(submit, range(16)))
    assert answers == [f"git+https://src.example.org/rpms/rnv#{number}" for number in range(16)]
    assert hub.calls.count["build"] == 16


def test_a_restarted_server_on_the_same_port_goes_on_with_the_same_world(hub: Hub) -> None:
    with HubServer(hub) as first:
        port = first.port
        session = koji.ClientSession(first.hub_url, {"user": "koschei", "password": "secret", "retry_interval": 0.05})
        session.login()
    with HubServer(hub, port=port):
        assert session.getLoggedInUser()["name"] == "koschei"
        session.rsession.close()
