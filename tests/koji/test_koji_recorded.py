"""Our reading of what a real hub answered: every recorded exchange of a call we make, replayed over HTTP.

The recordings are beside the repository (../shared/recordings) and may be absent.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault

import pytest
from koji.xmlrpcplus import loads

from koschei.errors import KojiAuthError, KojiError, KojiOutage, KojiRefusal
from koschei.koji import load, repositories, srpms, tagging, tasks
from koschei.koji.arches import build_arches
from koschei.koji.records import Host, Repo, RepoState, SrpmFacts, TaggedBuild, TaggedPackage, Target, Task, TaskState
from koschei.koji.session import Call, KojiSession

from .conftest import Http, ScriptedHub

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "recordings"
present = pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"no recordings in {RECORDINGS}")


def recording(name: str) -> list[dict[str, Any]]:
    exchanges = json.loads((RECORDINGS / f"{name}.json").read_text())["exchanges"]
    return [exchange for exchange in exchanges if "method" in exchange]


def reply_of(exchange: dict[str, Any]) -> Any:
    if "fault" in exchange:
        return Fault(exchange["fault"]["faultCode"], exchange["fault"]["faultString"])
    if "transport_error" in exchange:
        return Http(503)
    return exchange["response"]


def replay(hub: ScriptedHub, name: str, *methods: str) -> None:
    """The hub answers as recorded, by method and arguments; the last answer where there were several."""
    known: dict[tuple[str, str], Any] = {}
    for exchange in recording(name):
        known[exchange["method"], json.dumps(exchange["params"], sort_keys=True)] = reply_of(exchange)
    for method in methods:

        def answer(*params: Any, method: str = method) -> Any:
            return known[method, json.dumps(list(params), sort_keys=True)]

        hub.say(method, answer)


def relevant() -> list[Any]:
    cases = []
    for path in sorted(RECORDINGS.glob("*.json")):
        content = json.loads(path.read_text())
        exchanges = content.get("exchanges", []) if isinstance(content, dict) else []
        for number, exchange in enumerate(exchanges):
            if exchange.get("method") in READERS:
                cases.append(pytest.param(exchange, id=f"{path.stem}-{number}-{exchange['method']}"))
    return cases


def optional(kind: type) -> Callable[[Any], bool]:
    return lambda value: value is None or isinstance(value, kind)


def many(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(isinstance(one, kind) for one in value)


NVR = ("a", "1", "1")
SINCE = datetime(2000, 1, 1, tzinfo=UTC)
READERS: dict[str, tuple[Callable[[KojiSession], Any], Callable[[Any], bool]]] = {
    "getBuildTarget": (lambda session: repositories.target(session, "x"), optional(Target)),
    "getRepo": (lambda session: repositories.newest_repo(session, "x"), optional(Repo)),
    "repoInfo": (lambda session: repositories.repo(session, 1), optional(Repo)),
    "getTagGroups": (lambda session: repositories.build_group(session, "x", "build", 1), optional(tuple)),
    "getBuildConfig": (lambda session: repositories.tag_arches(session, "x"), lambda value: isinstance(value, tuple)),
    "listTagged": (lambda session: tagging.latest_builds(session, "x"), many(TaggedBuild)),
    "listPackages": (lambda session: tagging.packages(session, "x"), many(TaggedPackage)),
    "getTaskInfo": (lambda session: tasks.tasks(session, [1]), lambda value: isinstance(value, dict)),
    "getTaskChildren": (lambda session: tasks.children(session, [1]).get(1), optional(list)),
    "listHosts": (lambda session: load.load(session, ["x86_64"], []), lambda value: 0 <= value <= 1),
    "cancelTask": (lambda session: tasks.cancel(session, 1), optional(type(None))),
    "build": (lambda session: tasks.submit(session, "x", "y", {}, 30), lambda value: isinstance(value, int)),
    "getLoggedInUser": (lambda session: tasks.find_submissions(session, "x", "y", SINCE), many(Task)),
    "getAPIVersion": (lambda session: session.read("getAPIVersion"), lambda value: value == 1),
    "login": (lambda session: session.read("getAPIVersion"), lambda value: value == 1),
}
ABOUT_THE_SESSION = {1002, 1006, 1007, 1008, 1009}
IN_MULTICALL = {"getTaskChildren", "getTaskInfo"}


def expected_errors(code: int, method: str) -> tuple[type[KojiError], ...]:
    if code == 1014:
        return (KojiOutage,)
    if code in ABOUT_THE_SESSION:
        return (KojiAuthError,) if method != "build" else (KojiError,)
    if (code, method) == (1004, "build"):
        return (KojiAuthError,)
    return (KojiRefusal,)


@present
@pytest.mark.parametrize("exchange", relevant() if RECORDINGS.is_dir() else [])
def test_every_recorded_answer_is_read_or_refused_as_it_should_be(hub, session, exchange):
    method = exchange["method"]
    hub.say("getAPIVersion", 1)
    hub.say("getChannel", {"id": 1, "name": "default"})
    hub.say("listTasks", [])
    if method != "getTaskInfo":
        hub.say("getTaskInfo", None)
    hub.say(method, reply_of(exchange))
    ask, fits = READERS[method]
    code = exchange.get("fault", {}).get("faultCode")
    lenient = method in IN_MULTICALL and code not in {None, 1014, *ABOUT_THE_SESSION}
    if method == "cancelTask" and code == 1000:
        assert ask(session) is None
    elif method == "getLoggedInUser" and "fault" not in exchange and exchange["response"] is None:
        with pytest.raises(KojiAuthError):
            ask(session)
    elif lenient:
        assert not ask(session)
    elif code is None:
        value = ask(session)
        assert fits(value)
        assert_complete(value, exchange["response"])
    else:
        with pytest.raises(expected_errors(code, method)) as refusal:
            ask(session)
        if isinstance(refusal.value, KojiRefusal):
            assert (refusal.value.code, refusal.value.text) == (code, exchange["fault"]["faultString"])


def assert_complete(value: Any, answer: Any) -> None:
    """Nothing of a recorded answer was left out."""
    if isinstance(answer, list) and isinstance(value, list):
        assert len(value) == len(answer)
    if isinstance(answer, dict) and "method" in answer:
        assert value[1].id == answer["id"]
    if answer is None:
        assert value in (None, {1: None}, 1)


SCRATCH = {
    "20_scratch_success": (10, tasks.Succeeded()),
    "21_scratch_failed_buildArch": (None, tasks.FaultKind.PACKAGE),
    "22_scratch_failed_rebuildSRPM": (None, tasks.FaultKind.PACKAGE),
    "23_scratch_failed_infra_code1": (21, tasks.FaultKind.KOJI),
    "24_scratch_failed_buildroot_1012": (None, tasks.FaultKind.PACKAGE),
    "25_scratch_failed_lockerror_1001": (27, tasks.FaultKind.KOJI),
    "26_scratch_cancel": (28, None),
    "27_scratch_repo_id_no_target": (31, tasks.Succeeded()),
}


@present
@pytest.mark.parametrize("name", SCRATCH)
def test_a_recorded_scratch_build_ends_as_it_did(hub, session, name):
    task_id, expected = SCRATCH[name]
    submitted = next(exchange["response"] for exchange in recording(name) if exchange["method"] == "build")
    assert task_id in (None, submitted)
    replay(hub, name, "getTaskInfo", "getTaskChildren", "getTaskResult")
    if expected is None:
        with pytest.raises(KojiRefusal, match="canceled"):
            tasks.outcome(session, submitted)
        assert tasks.tasks(session, [submitted])[submitted].state is TaskState.CANCELED
        return
    ended = tasks.outcome(session, submitted)
    assert ended == expected if isinstance(expected, tasks.Succeeded) else ended.kind is expected
    children = tasks.children(session, [submitted])[submitted]
    assert [child.id for child in children] == sorted(child.id for child in children)
    if children:
        assert tasks.repo_id_of(children) == 2
        assert children[0].method == "rebuildSRPM"
        assert all(child.finished and child.parent == submitted for child in children)


@present
@pytest.mark.parametrize("name", ["29_policy_violation_repo_id", "29b_unknown_target"])
def test_a_recorded_refusal_by_the_builder_is_our_own_mistake(hub, session, name):
    fault = next(exchange["fault"] for exchange in recording(name) if exchange["method"] == "getTaskResult")
    failed = next(e["response"] for e in recording("29_policy_violation_repo_id") if e["method"] == "getTaskInfo")
    hub.say("getTaskInfo", failed)
    hub.say("getTaskResult", fault)
    hub.say("getTaskChildren", [])
    assert tasks.outcome(session, failed["id"]).kind is tasks.FaultKind.OURS


@present
@pytest.mark.parametrize(
    ("nvr", "build_requires", "headers", "arches"),
    [
        (
            ("bash", "5.2.37", "1.fc43"),
            (
                "(ncurses-devel or ncurses-compat)",
                "bison < 4",
                "gcc",
                "make >= 4.2",
                "pkgconfig(zlib) = 1.3",
                "texinfo",
            ),
            {},
            ("x86_64", "aarch64", "ppc64le", "s390x", "i686"),
        ),
        (
            ("maven", "3.9.9", "5.fc43"),
            ("maven-local",),
            {"buildarchs": ("noarch",), "exclusivearch": ("x86_64", "aarch64", "noarch")},
            ("noarch",),
        ),
        (
            ("fpc", "3.2.2", "1.fc43"),
            ("fpc",),
            {"exclusivearch": ("x86_64", "i686", "ppc64le")},
            ("x86_64", "ppc64le", "i686"),
        ),
    ],
)
def test_the_recorded_facts_of_a_source_package(hub, session, nvr, build_requires, headers, arches):
    replay(hub, "34_rpm_deps_headers", "getRPMDeps", "getRPMHeaders")
    missing = ("nosuch", "1", "1")
    facts = srpms.srpm_facts(session, [nvr, missing])
    assert facts == {nvr: SrpmFacts(*nvr, build_requires=build_requires, **headers), missing: None}
    tag = ("x86_64", "aarch64", "ppc64le", "s390x", "i686")
    assert build_arches(facts[nvr], tag, tag, None).arches == arches


@present
def test_the_recorded_source_path_is_the_one_that_build_took(hub, session):
    name = "27_scratch_repo_id_no_target"
    replay(hub, name, "listTagged", "listRPMs")
    (build,) = tagging.latest_builds(session, "f43", "maven")
    submitted = next(exchange["params"][0] for exchange in recording(name) if exchange["method"] == "build")
    assert srpms.source_path(session, session.config, build) == submitted


@present
def test_the_recorded_tag_target_group_and_repositories(hub, session):
    replay(hub, "35_tags_targets_groups", "getBuildTarget", "getBuildConfig", "getTagGroups")
    assert repositories.target(session, "f43") == Target("f43", "f43-build", "f43")
    assert repositories.tag_arches(session, "f43-build") == ("x86_64", "aarch64", "ppc64le", "s390x", "i686")
    members = repositories.build_group(session, "f43-build", "build", 80)
    assert {"bash", "coreutils", "cpio"} <= set(members)
    assert repositories.build_group(session, "f43-build", "build", 5) is None
    assert repositories.build_group(session, "f43-build", "nosuch", 80) is None
    replay(hub, "36_repos", "getRepo", "repoInfo")
    newest = repositories.newest_repo(session, "f43-build")
    assert (newest.id, newest.state, newest.create_event) == (2, RepoState.READY, 81)
    assert repositories.newest_repo(session, "f43-updates") is None
    assert repositories.repo(session, 1).state is RepoState.INIT
    assert repositories.repo(session, 99999) is None


@present
def test_the_recorded_load_of_the_builders(hub, session):
    tag = ("x86_64", "aarch64", "ppc64le", "s390x", "i686")
    hub.say("getChannel", {"id": 1, "name": "default"})
    hosts = {row["name"]: row for exchange in recording("37b_hosts_with_load") for row in exchange["response"]}
    hub.say("listHosts", list(hosts.values()))
    assert {row["name"]: Host.from_koji("listHosts", row).arches for row in hosts.values()}["builder1"] == (
        "i386",
        "x86_64",
    )
    assert load.load(session, ["x86_64", "i686"], tag) == pytest.approx(1.5 / 4)
    assert load.load(session, ["x86_64", "aarch64", "ppc64le"], tag) == pytest.approx(1.9 / 2)
    assert load.load(session, ["s390x"], tag) == 1.0
    assert load.load(session, ["noarch"], tag) == pytest.approx(0.5 / 2)


@present
def test_the_recorded_multicall_keeps_values_nulls_and_faults_apart(hub, session):
    (exchange,) = recording("39_multicall_legacy")
    hub.say("multiCall", exchange["response"])
    calls = [Call(inner["methodName"], tuple(inner["params"])) for inner in exchange["params"][0]]
    got = session.multicall(calls)
    for recorded, ours in zip(exchange["response"], got, strict=True):
        if isinstance(recorded, dict):
            assert (ours.code, ours.text) == (recorded["faultCode"], recorded["faultString"])
        else:
            assert [ours] == recorded


@present
def test_recorded_listed_tasks_are_ours_to_find_again(hub, session):
    hub.say("getLoggedInUser", {"id": 2, "name": "koschei"})
    listed = [e for e in recording("38_tasks_read") if e["method"] == "listTasks"]
    raw = listed[0]["response"]
    decoded = [{**row, "request": list(loads(row["request"])[0])} for row in raw]
    hub.say("listTasks", decoded)
    source = decoded[0]["request"][0]
    found = tasks.find_submissions(session, source, decoded[0]["request"][1], SINCE)
    assert decoded[0]["id"] in {task.id for task in found}
    hub.say("listTasks", raw)
    with pytest.raises(KojiOutage, match="request"):
        tasks.find_submissions(session, source, "f43", SINCE)
