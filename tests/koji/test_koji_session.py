"""What a session does when the hub does not simply answer."""

from __future__ import annotations

import threading
import time
from xmlrpc.client import Fault

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.ports import free_port
from koschei.errors import ConfigError, KojiAuthError, KojiOutage, KojiRefusal, LostReply
from koschei.koji.login import longest_call
from koschei.koji.session import TRIES, Call, KojiSession

from .conftest import Cut, Hang, Http, koji_config

OFFLINE = Fault(1014, "outage for upgrade, back at 12:00 UTC")
EXPIRED = Fault(1007, 'session "7" has expired')
SEQUENCE = Fault(1008, "3 > 0 (session 7)")
ALREADY_DONE = Fault(1009, "unable to retry call 0 (method build) for session 7")
INVALID_SESSION = Fault(1002, "Invalid session or bad credentials")
HTML = Http(200, b"<!DOCTYPE html><html><body>Down for maintenance<br></body></html>")
SCRIPT = Http(200, b"<html>no xmlrpc at all</html>")
HALF = Http(200, b"<?xml version='1.0'?><methodResponse><params>", promised=1000)

OUTAGES = {
    "offline": OFFLINE,
    "503": Http(503, b"busy"),
    "502": Http(502),
    "404": Http(404),
    "html": HTML,
    "other xml": SCRIPT,
    "empty": Http(200),
    "not utf-8": Http(200, b"<?xml version='1.0'?><methodResponse><params><param><value>\xff\xfe</value>"),
    "no number": Http(
        200, b"<methodResponse><params><param><value><int>x</int></value></param></params></methodResponse>"
    ),
    "entities": Http(200, b'<!DOCTYPE a [<!ENTITY b "c">]><methodResponse>&b;</methodResponse>'),
    "fault without code": Http(
        200, b"<methodResponse><fault><value><struct></struct></value></fault></methodResponse>"
    ),
    "fault with a text as code": Fault("x", "y"),  # type: ignore[arg-type]
    "cut": Cut(),
    "half": HALF,
}


def refused_port() -> str:
    return f"http://127.0.0.1:{free_port()}/kojihub"


def test_a_read_logs_in_first_and_only_once(hub, session):
    hub.say("getAPIVersion", 1)
    assert session.read("getAPIVersion") == 1
    assert session.read("getAPIVersion") == 1
    assert hub.methods() == ["login", "getAPIVersion", "getAPIVersion"]
    assert hub.requests[0].params == ("koschei", "secret", {"opts": None, "__starstar": True})


def test_keyword_arguments_are_sent_as_koji_wants_them(hub, session):
    hub.say("getRepo", None)
    session.read("getRepo", "f43-build", state=1)
    assert hub.requests[-1].params == ("f43-build", {"state": 1, "__starstar": True})


@pytest.mark.parametrize("settings", [{"anonymous": True}, {"login_method": "logout", "login_args": {}}])
def test_an_anonymous_session_never_logs_in(hub, connect, settings):
    hub.say("getAPIVersion", 1)
    assert connect(**settings).read("getAPIVersion") == 1
    assert hub.methods() == ["getAPIVersion"]


@pytest.mark.parametrize("trouble", OUTAGES.values(), ids=OUTAGES.keys())
def test_a_read_survives_a_short_outage(hub, session, naps, trouble):
    hub.say("getAPIVersion", trouble, 1)
    assert session.read("getAPIVersion") == 1
    broken = isinstance(trouble, Cut) or trouble is HALF
    # the client itself asks again when the connection breaks
    assert len(naps) == (0 if broken else 1)


@pytest.mark.parametrize("trouble", OUTAGES.values(), ids=OUTAGES.keys())
def test_a_read_gives_up_on_a_long_outage(hub, session, naps, trouble):
    hub.say("getAPIVersion", trouble)
    with pytest.raises(KojiOutage, match="getAPIVersion"):
        session.read("getAPIVersion")
    assert len(naps) == TRIES - 1
    assert all(0 <= nap <= 3 for nap in naps)


@pytest.mark.parametrize("trouble", OUTAGES.values(), ids=OUTAGES.keys())
def test_an_outage_during_login_is_an_outage(hub, session, trouble):
    hub.say("login", trouble)
    with pytest.raises(KojiOutage):
        session.read("getAPIVersion")
    with pytest.raises(KojiOutage):
        session.write("build", "x")
    assert "build" not in hub.methods()


def test_offline_and_then_503_is_an_outage_not_the_stale_fault(hub, session):
    hub.say("getAPIVersion", OFFLINE, Http(503), 1)
    assert session.read("getAPIVersion") == 1


def test_nothing_is_repeated_when_the_budget_is_spent(hub, connect):
    times = iter([0.0, 11.0])
    hub.say("getAPIVersion", OFFLINE)
    with pytest.raises(KojiOutage):
        connect(clock=lambda: next(times)).read("getAPIVersion")
    assert hub.methods().count("getAPIVersion") == 1


def test_a_hub_that_is_not_there_is_an_outage(connect):
    with pytest.raises(KojiOutage, match="cannot be reached"):
        connect(server=refused_port()).read("getAPIVersion")


def test_a_hub_whose_name_is_unknown_is_an_outage(connect):
    with pytest.raises(KojiOutage, match="cannot be reached"):
        connect(server="http://koji.invalid/kojihub").read("getAPIVersion")


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked a second time."""
    monkeypatch.setattr("koschei.koji.session.TRIES", 1)


@pytest.mark.usefixtures("once")
def test_a_silent_hub_is_an_outage_after_the_timeout(hub, connect):
    release = threading.Event()
    hub.say("getAPIVersion", Hang(release))
    started = time.monotonic()
    with pytest.raises(KojiOutage, match="getAPIVersion"):
        connect(session_opts={"timeout": 1}).read("getAPIVersion")
    release.set()
    assert time.monotonic() - started < 30


def test_each_answer_says_that_the_service_goes_on(hub, connect):
    told = []
    session = connect(anonymous=True, multicall_chunk_size=2, alive=lambda: told.append(len(hub.requests)))
    hub.say("getAPIVersion", 1, Fault(1000, "no"))
    session.read("getAPIVersion")
    with pytest.raises(KojiRefusal):
        session.read("getAPIVersion")
    assert told[-2:] == [1, 2]
    hub.say("multiCall", [[1], [2]], [[3]])
    session.multicall([Call("getAPIVersion")] * 3)
    assert told[-2:] == [3, 4]


@pytest.mark.usefixtures("once")
def test_a_call_that_hangs_says_nothing_before_it_is_given_up(hub, connect):
    release, told = threading.Event(), []
    session = connect(anonymous=True, session_opts={"timeout": 1}, alive=lambda: told.append(time.monotonic()))
    hub.say("getAPIVersion", 1, Hang(release, drip=True))
    session.read("getAPIVersion")
    told.clear()
    started = time.monotonic()
    with pytest.raises(KojiOutage):
        session.read("getAPIVersion")
    release.set()
    assert told[0] - started >= longest_call(session.config)


@pytest.mark.usefixtures("once")
def test_a_dripping_hub_does_not_hold_a_read_for_ever(hub, connect):
    release = threading.Event()
    hub.say("getAPIVersion", Hang(release, drip=True))
    session = connect(session_opts={"timeout": 1})
    assert longest_call(session.config) == 2
    started = time.monotonic()
    with pytest.raises(KojiOutage, match="getAPIVersion: no answer within 2 seconds"):
        session.read("getAPIVersion")
    release.set()
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(("call", "error"), [("read", KojiOutage), ("write", LostReply)])
def test_stopping_does_not_wait_for_the_hub(hub, connect, call, error):
    stop, release = threading.Event(), threading.Event()
    session = connect(stop=stop)
    hub.say("getAPIVersion", 1)
    session.read("getAPIVersion")
    hub.say("cancelTask", Hang(release))
    hub.arrived.clear()
    stopper = threading.Thread(target=lambda: hub.arrived.wait(60) and stop.set())
    stopper.start()
    started = time.monotonic()
    with pytest.raises(error, match="stopping"):
        getattr(session, call)("cancelTask", 1)
    assert time.monotonic() - started < 30
    release.set()
    stopper.join()
    assert hub.methods().count("cancelTask") == 1


def test_a_stopped_service_asks_nothing_more(hub, connect):
    stop = threading.Event()
    stop.set()
    session = connect(stop=stop)
    with pytest.raises(KojiOutage, match="stopping"):
        session.read("getAPIVersion")
    with pytest.raises(KojiOutage, match="stopping"):
        session.write("build", "x")
    assert hub.methods() == []


def test_a_wrong_password_is_an_auth_error_and_not_repeated(hub, session):
    hub.say("login", Fault(1002, "invalid username or password"))
    with pytest.raises(KojiAuthError, match=r"koji_config\.login_args"):
        session.read("getAPIVersion")
    assert hub.methods().count("login") == 1


@pytest.mark.parametrize("fault", [INVALID_SESSION, Fault(1006, "locked"), SEQUENCE, ALREADY_DONE])
def test_a_read_in_a_bad_session_is_repeated_in_a_fresh_one(hub, session, fault):
    hub.say("getTaskInfo", fault, None)
    assert session.read("getTaskInfo", 1) is None
    assert hub.methods() == ["login", "getTaskInfo", "login", "getTaskInfo"]
    assert "renew" not in hub.requests[2].params[-1]


def test_a_read_survives_the_renewal_that_does_not_work_after_a_write(hub, session):
    hub.say("build", 96)
    hub.say("getTaskInfo", EXPIRED, SEQUENCE, None)
    assert session.write("build", "x") == 96
    assert session.read("getTaskInfo", 96) is None
    logins = [request.params[-1] for request in hub.requests if request.method == "login"]
    assert [bool(login.get("renew")) for login in logins] == [False, True, False]


def test_a_session_that_is_never_good_is_an_auth_error(hub, session):
    hub.say("getTaskInfo", INVALID_SESSION)
    with pytest.raises(KojiAuthError):
        session.read("getTaskInfo", 1)
    assert hub.methods().count("getTaskInfo") == 2


@pytest.mark.parametrize("code", [1, 1000, 1001, 1004, 1019, 424242])
@pytest.mark.parametrize("call", ["read", "write"])
def test_any_other_fault_is_a_refusal_with_code_and_text(hub, session, call, code):
    hub.say("build", Fault(code, "no"))
    with pytest.raises(KojiRefusal) as refusal:
        getattr(session, call)("build", "x")
    assert (refusal.value.method, refusal.value.code, refusal.value.text) == ("build", code, "no")
    assert hub.methods().count("build") == 1


def test_a_write_whose_reply_was_cut_is_lost_and_not_repeated_by_us(hub, session):
    hub.say("build", Cut(), ALREADY_DONE)
    with pytest.raises(LostReply, match="look before repeating"):
        session.write("build", "x")
    # the second one is the client's, with the same number, which is what makes the hub refuse it
    assert hub.methods() == ["login", "build", "build"]
    numbers = [request.headers["Koji-Session-Callnum"] for request in hub.requests[1:]]
    assert numbers[0] == numbers[1]


LOST = {name: trouble for name, trouble in OUTAGES.items() if name not in ("offline", "fault with a text as code")}


@pytest.mark.parametrize("trouble", LOST.values(), ids=LOST.keys())
def test_a_write_without_a_clear_answer_is_lost(hub, session, naps, trouble):
    hub.say("build", trouble)
    with pytest.raises(LostReply):
        session.write("build", "x")
    assert naps == []


def test_a_write_that_timed_out_is_lost(hub, connect):
    release = threading.Event()
    hub.say("build", Hang(release))
    with pytest.raises(LostReply):
        connect(session_opts={"timeout": 1}).write("build", "x")
    release.set()
    assert hub.methods().count("build") == 1


@pytest.mark.parametrize("second", [OFFLINE, INVALID_SESSION, SEQUENCE, Fault(1000, "no")])
def test_a_fault_after_a_cut_says_nothing_about_the_first_request(hub, session, second):
    hub.say("build", Cut(), second, 1)
    with pytest.raises(LostReply):
        session.write("build", "x")
    assert hub.methods().count("build") == 2


def test_a_write_is_repeated_when_the_hub_was_offline(hub, session, naps):
    hub.say("build", OFFLINE, 5)
    assert session.write("build", "x") == 5
    assert len(naps) == 1


def test_a_write_to_a_hub_that_stays_offline_has_not_happened(hub, session):
    hub.say("build", OFFLINE)
    with pytest.raises(KojiOutage):
        session.write("build", "x")
    assert hub.methods().count("build") == TRIES


@pytest.mark.parametrize("fault", [INVALID_SESSION, SEQUENCE])
def test_a_write_in_a_bad_session_is_repeated_in_a_fresh_one(hub, session, fault):
    hub.say("build", fault, 5)
    assert session.write("build", "x") == 5
    assert hub.methods() == ["login", "build", "login", "build"]


def test_a_write_in_an_expired_session_that_had_written_happens_once(hub, session):
    hub.say("build", 95, EXPIRED, SEQUENCE, 96)
    assert session.write("build", "x") == 95
    assert session.write("build", "y") == 96


def test_a_write_refused_as_done_before_is_lost(hub, session):
    hub.say("build", ALREADY_DONE)
    with pytest.raises(LostReply):
        session.write("build", "x")
    assert hub.methods().count("build") == 1


def test_a_write_may_be_repeated_when_nobody_listened(hub, session, naps):
    hub.say("getAPIVersion", 1)
    session.read("getAPIVersion")
    session._client.baseurl = refused_port()
    with pytest.raises(KojiOutage, match="cannot be reached"):
        session.write("build", "x")
    assert len(naps) == TRIES - 1


def test_a_write_by_nobody_is_refused_in_koji_s_words(hub, connect):
    hub.say("build", Fault(1004, "you must be logged in for this operation"))
    with pytest.raises(KojiRefusal, match="logged in"):
        connect(anonymous=True).write("build", "x")


def test_a_multicall_keeps_the_order_over_its_chunks(hub, connect):
    hub.say("echo", lambda value: value)
    calls = [Call("echo", (value,)) for value in range(250)]
    assert connect(multicall_chunk_size=100).multicall(calls) == list(range(250))
    assert hub.methods().count("multiCall") == 3
    assert [len(request.params[0]) for request in hub.requests if request.method == "multiCall"] == [100, 100, 50]


def test_an_empty_multicall_asks_nothing(hub, session):
    assert session.multicall([]) == []
    assert hub.methods() == []


def test_a_refused_element_does_not_spoil_the_others(hub, session):
    hub.say("getTaskInfo", None, Fault(1000, "query returned no rows"), Fault(1, "Traceback"), {"id": 4})
    first, second, third, fourth = session.multicall([Call("getTaskInfo", (n,), {"strict": True}) for n in range(4)])
    assert (first, fourth) == (None, {"id": 4})
    assert (second.method, second.code, second.text) == ("getTaskInfo", 1000, "query returned no rows")
    assert third.code == 1
    assert hub.requests[-1].params[0][1]["params"] == [1, {"strict": True, "__starstar": True}]


@pytest.mark.parametrize("fault", [INVALID_SESSION, SEQUENCE, OFFLINE])
def test_an_element_that_speaks_of_the_session_is_about_all_of_them(hub, session, fault):
    hub.say("getTaskInfo", None, fault, 3, 4)
    assert session.multicall([Call("getTaskInfo", (n,)) for n in range(2)]) == [3, 4]


@pytest.mark.parametrize(
    "answer",
    [None, [], "text", [[1]], [[1], [2], [3]], [[1], 2], [[1], []], [[1], {"faultCode": "x"}], {"faultCode": 1}],
)
def test_a_multicall_answered_with_nonsense_is_an_outage(hub, session, answer):
    hub.say("multiCall", answer)
    with pytest.raises(KojiOutage):
        session.multicall([Call("getTaskInfo", (1,)), Call("getTaskInfo", (2,))])


def test_closing_logs_out_and_the_next_call_logs_in_again(hub, session):
    hub.say("getAPIVersion", 1)
    with session:
        session.read("getAPIVersion")
    assert hub.methods()[-1] == "logout"
    session.read("getAPIVersion")
    assert hub.methods()[-2:] == ["login", "getAPIVersion"]


def test_closing_does_not_wait_for_a_dead_hub(hub, session):
    release = threading.Event()
    hub.say("getAPIVersion", 1)
    session.read("getAPIVersion")
    hub.say("logout", Hang(release))
    started = time.monotonic()
    session.close()
    release.set()
    assert time.monotonic() - started < 30


def test_forgetting_a_session_sends_nothing(hub, session):
    hub.say("getAPIVersion", INVALID_SESSION)
    with pytest.raises(KojiAuthError):
        session.read("getAPIVersion")
    session.close()
    assert "logout" not in hub.methods()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"login_method": "login", "login_args": {"user": "koschei"}}, "needs password"),
        ({"login_method": "login", "login_args": {"user": "a", "password": "b", "keytab": "c"}}, "takes no keytab"),
        ({"login_method": "logout", "login_args": {"user": "a"}}, "takes no user"),
        ({"login_method": "ssl_login", "login_args": {}}, "needs cert"),
    ],
)
def test_login_arguments_that_cannot_work_are_named_at_once(settings, words):
    with pytest.raises(ConfigError, match=words):
        KojiSession(koji_config("http://127.0.0.1:1/kojihub", **settings))


@pytest.mark.parametrize("method", ["gssapi_login", "krb_login"])
def test_a_missing_kerberos_library_is_named_at_once(method, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="requests-gssapi"):
        KojiSession(koji_config("http://127.0.0.1:1/kojihub", login_method=method, login_args={"keytab": "/x"}))


def test_an_unreadable_certificate_is_an_auth_error_while_koji_works(hub, connect, tmp_path):
    hub.say("getAPIVersion", 1)
    with pytest.raises(KojiAuthError, match="ssl_login"):
        connect(login_method="ssl_login", login_args={"cert": str(tmp_path / "none.pem")}).read("getAPIVersion")


def test_a_certificate_login_at_a_dead_hub_is_an_outage(connect, tmp_path):
    cert = tmp_path / "cert.pem"
    cert.write_text("not looked at: nothing answers")
    session = connect(
        server=refused_port(),
        login_method="ssl_login",
        login_args={"cert": str(cert)},
        session_opts={"retry_interval": 0},
    )
    with pytest.raises(KojiOutage):
        session.read("getAPIVersion")


def test_session_options_of_the_configuration_win(hub, connect):
    hub.say("getAPIVersion", Http(503), Http(503), Http(503), 1)
    session = connect(session_opts={"max_retries": 5, "retry_interval": 0, "timeout": [1, 2]})
    assert session.read("getAPIVersion") == 1
    assert session._client.opts["timeout"] == (1, 2)
    assert hub.methods().count("login") == 1


def test_an_old_hub_s_session_key_is_in_no_error(hub, session):
    hub.say("login", {"session-id": 7, "session-key": "very-secret"})
    hub.say("getAPIVersion", Http(503))
    with pytest.raises(KojiOutage) as outage:
        session.read("getAPIVersion")
    assert "very-secret" in hub.requests[-1].path
    assert "very-secret" not in str(outage.value)


@given(body=st.binary(max_size=200))
def test_whatever_bytes_the_hub_sends_the_error_is_ours(hub, session, body: bytes):
    hub.say("getAPIVersion", Http(200, body))
    with pytest.raises(KojiOutage):
        session.read("getAPIVersion")


def test_an_error_that_is_not_koji_s_is_not_hidden(session):
    with pytest.raises(OverflowError):
        session.read("getTaskInfo", 2**70)
