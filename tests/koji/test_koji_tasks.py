"""Looking at tasks, submitting and cancelling them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from xmlrpc.client import Fault

import pytest

from koschei.errors import KojiAuthError, KojiOutage, KojiRefusal, LostReply
from koschei.koji import tasks
from koschei.koji.records import Task, TaskState
from koschei.koji.tasks import Failed, FaultKind, Succeeded

from .conftest import Cut

CREATED = 1795337352.5
SOURCE = "../packages/bash/5.2.37/1.fc43/src/bash-5.2.37-1.fc43.src.rpm"


def task(number: int, method: str = "build", state: int = 1, request: Any = (), **changes: Any) -> dict[str, Any]:
    fields = {"id": number, "method": method, "state": state, "request": list(request), "arch": "noarch", "label": None}
    return {**fields, "create_ts": CREATED, "completion_ts": None, "parent": None, "owner": 2, **changes}


def child(number: int, method: str, *request: Any) -> Task:
    return Task.from_koji("getTaskChildren", task(number, method, request=request))


def test_tasks_are_found_by_their_ids_whatever_else_happens(hub, session):
    hub.say("getTaskInfo", task(10, state=2), None, Fault(1, "Traceback"), {"id": "x"}, task(14, state=5))
    found = tasks.tasks(session, [10, 11, 12, 13, 14, 14])
    assert {number: got and got.state for number, got in found.items()} == {
        10: TaskState.CLOSED,
        11: None,
        14: TaskState.FAILED,
    }
    assert hub.requests[-1].params[0][0] == {
        "methodName": "getTaskInfo",
        "params": [10, {"request": True, "__starstar": True}],
    }


def test_children_come_in_the_order_of_their_ids(hub, session):
    hub.say("getTaskChildren", [task(13), task(11), task(12)], [], "nonsense")
    found = tasks.children(session, [10, 20, 30])
    assert {number: [got.id for got in children] for number, children in found.items()} == {10: [11, 12, 13], 20: []}


def test_nothing_is_asked_about_no_tasks(hub, session):
    assert tasks.tasks(session, []) == {}
    assert tasks.children(session, []) == {}
    assert hub.methods() == []


@pytest.mark.parametrize(
    ("children", "repo_id"),
    [
        ([], None),
        ([child(11, "rebuildSRPM", SOURCE, 1, {"repo_id": 2, "scratch": True})], 2),
        ([child(11, "buildSRPMFromSCM", "git+https://x", 1, {"repo_id": 3, "scratch": True})], 3),
        ([child(12, "buildArch", "a.src.rpm", 1, "x86_64", True, {"repo_id": 4})], 4),
        ([child(14, "tagBuild", 1, 2, False)], None),
        ([child(12, "buildArch", "a.src.rpm", 1, "x86_64")], None),
        ([child(12, "buildArch", "a.src.rpm", 1, "x86_64", True, None)], None),
        ([child(12, "buildArch", "a", 1, "x", True, {}), child(11, "rebuildSRPM", "a", 1, {"repo_id": 5})], 5),
        ([child(11, "rebuildSRPM", "a", 1, {"repo_id": "5"})], None),
        ([child(11, "rebuildSRPM", "a", 1, {"repo_id": True})], None),
        ([Task(1, "buildArch", "x", None, TaskState.FREE, datetime.now(UTC), None, None, None, None)], None),
    ],
)
def test_the_repository_is_in_the_request_of_a_child(children, repo_id):
    assert tasks.repo_id_of(children) == repo_id


def ended(hub: Any, state: int, result: Any, *children: Any) -> None:
    hub.say("getTaskInfo", task(10, state=state))
    hub.say("getTaskResult", result)
    hub.say("getTaskChildren", list(children))


def test_a_closed_task_succeeded(hub, session):
    ended(hub, 2, None, task(11))
    assert tasks.outcome(session, 10) == Succeeded()


@pytest.mark.parametrize(
    ("code", "has_children", "kind"),
    [
        (1005, True, FaultKind.PACKAGE),
        (1012, True, FaultKind.PACKAGE),
        (1000, True, FaultKind.PACKAGE),
        (1000, False, FaultKind.OURS),
        (1004, True, FaultKind.OURS),
        (1004, False, FaultKind.OURS),
        (1005, False, FaultKind.OURS),
        (1, True, FaultKind.KOJI),
        (-32603, True, FaultKind.KOJI),
        (1001, True, FaultKind.KOJI),
        (1001, False, FaultKind.KOJI),
        (4711, True, FaultKind.KOJI),
        # a task's own fault may look like one of our session
        (1002, True, FaultKind.KOJI),
        (1009, True, FaultKind.KOJI),
        (1014, True, FaultKind.KOJI),
    ],
)
def test_a_failure_is_somebody_s(hub, session, code, has_children, kind):
    ended(hub, 5, {"faultCode": code, "faultString": "words"}, *([task(11)] if has_children else []))
    result = tasks.outcome(session, 10)
    assert result == Failed(code, "words", kind)
    assert hub.methods() == ["login", "multiCall"]


@pytest.mark.parametrize(
    ("state", "result"),
    [(3, Fault(1000, "Task 10 is canceled")), (1, Fault(1000, "Task 10 is not finished")), (3, None)],
)
def test_a_task_that_did_not_end_by_itself_has_no_outcome(hub, session, state, result):
    ended(hub, state, result)
    with pytest.raises(KojiRefusal, match="Task 10 is"):
        tasks.outcome(session, 10)


def test_a_failed_task_without_a_fault_is_nonsense(hub, session):
    ended(hub, 5, {"rpms": []}, task(11))
    with pytest.raises(KojiOutage, match="faultCode"):
        tasks.outcome(session, 10)


def test_a_submission_is_a_scratch_build_whatever_the_options_say(hub, session):
    hub.say("build", 31)
    options = {"scratch": False, "arch_override": "x86_64"}
    assert tasks.submit(session, SOURCE, "f43", options, 30) == 31
    expected = (SOURCE, "f43", {"scratch": True, "arch_override": "x86_64"}, {"priority": 30, "__starstar": True})
    assert hub.requests[-1].params == expected
    assert options["scratch"] is False


def test_a_submission_without_a_target_names_a_repository(hub, session):
    hub.say("build", 31)
    assert tasks.submit(session, SOURCE, None, {"repo_id": 2}, 30) == 31
    assert hub.requests[-1].params[1] is None


@pytest.mark.parametrize("answer", [None, "31", -1, [31]])
def test_a_submission_answered_with_nonsense_may_have_happened(hub, session, answer):
    hub.say("build", answer)
    with pytest.raises(LostReply, match="may have been submitted"):
        tasks.submit(session, SOURCE, "f43", {}, 30)


def test_that_we_may_not_submit_is_no_refusal_of_a_package(hub, session):
    hub.say("build", Fault(1004, "only admins may create high-priority tasks"))
    with pytest.raises(KojiAuthError, match=r"only admins may create high-priority tasks\. Check .*task_priority"):
        tasks.submit(session, SOURCE, "f43", {}, -5)
    hub.say("build", Fault(1000, "No such channel: nosuch"))
    with pytest.raises(KojiRefusal, match="No such channel"):
        tasks.submit(session, SOURCE, "f43", {}, 30)


def test_a_lost_submission_is_found_again(hub, session):
    since = datetime.fromtimestamp(CREATED, UTC) - timedelta(seconds=5)
    hub.say("build", Cut(), Fault(1009, "unable to retry call 0 (method build) for session 7"))
    with pytest.raises(LostReply):
        tasks.submit(session, SOURCE, "f43", {}, 30)
    hub.say("getLoggedInUser", {"id": 2, "name": "koschei"})
    mine = task(31, request=[SOURCE, "f43", {"scratch": True}])
    others = [
        task(32, request=[SOURCE, "f44", {"scratch": True}]),
        task(33, request=[SOURCE, None, {"scratch": True}]),
        task(34, request=["other", "f43", {"scratch": True}]),
        task(35, request=[]),
        task(30, request=[SOURCE, "f43", {}], create_ts=CREATED - 10),
    ]
    hub.say("listTasks", [*others, {**mine, "id": 36}, mine])
    assert [found.id for found in tasks.find_submissions(session, SOURCE, "f43", since)] == [31, 36]
    assert [found.id for found in tasks.find_submissions(session, SOURCE, None, since)] == [33]
    asked = hub.requests[-1].params[0]
    assert asked["opts"] == {
        "owner": 2,
        "method": "build",
        "parent": None,
        "createdAfter": since.timestamp(),
        "decode": True,
    }


def test_nobody_has_no_submissions(hub, session):
    hub.say("getLoggedInUser", None)
    with pytest.raises(KojiAuthError, match="login_method"):
        tasks.find_submissions(session, SOURCE, "f43", datetime.now(UTC))


def test_a_submission_list_that_cannot_be_read_does_not_look_empty(hub, session):
    hub.say("getLoggedInUser", {"id": 2})
    hub.say("listTasks", [task(31, request=[]) | {"request": "<?xml version='1.0'?>"}])
    with pytest.raises(KojiOutage, match="request"):
        tasks.find_submissions(session, SOURCE, "f43", datetime.now(UTC))


def test_cancelling_may_be_repeated(hub, session):
    hub.say("cancelTask", Cut(), Fault(1009, "unable to retry call 0"), None)
    tasks.cancel(session, 10)
    assert hub.methods().count("cancelTask") == 3


def test_cancelling_a_task_that_does_not_exist_is_nothing(hub, session):
    hub.say("cancelTask", Fault(1000, "No such task: 10"))
    hub.say("getTaskInfo", None)
    tasks.cancel(session, 10)
    assert hub.methods().count("cancelTask") == 1


def test_cancelling_somebody_else_s_task_is_refused(hub, session):
    hub.say("cancelTask", Fault(1004, "Cannot cancel task, not owner"))
    with pytest.raises(KojiRefusal, match="not owner"):
        tasks.cancel(session, 10)


def test_cancelling_that_fails_for_another_reason_is_told(hub, session):
    hub.say("cancelTask", Fault(1000, "something else"))
    hub.say("getTaskInfo", task(10))
    with pytest.raises(KojiRefusal, match="something else"):
        tasks.cancel(session, 10)
