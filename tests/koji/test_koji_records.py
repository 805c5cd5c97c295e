"""Koji's answers as values, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschei.errors import KojiOutage, KojiRefusal
from koschei.koji import links, repositories, tagging
from koschei.koji.records import (
    BuildState,
    Host,
    Repo,
    RepoState,
    TaggedBuild,
    TaggedPackage,
    Target,
    Task,
    TaskState,
)

from .conftest import koji_config

TARGET = {"id": 1, "name": "f43", "build_tag": 1, "build_tag_name": "f43-build", "dest_tag": 2, "dest_tag_name": "f43"}
REPO = {"id": 2, "tag_name": "f43-build", "state": 1, "create_event": 81, "creation_ts": 1795337289.25}
BUILD = {
    "build_id": 6,
    "package_name": "rnv",
    "epoch": None,
    "version": "1.7.11",
    "release": "33.fc43",
    "task_id": 46,
    "tag_name": "f43",
    "state": 1,
    "completion_time": "2026-11-22 08:54:55.789879+00:00",
}
TASK = {
    "id": 10,
    "method": "build",
    "arch": "noarch",
    "label": None,
    "state": 0,
    "create_ts": 1795337352.5,
    "completion_ts": None,
    "completion_time": None,
    "parent": None,
    "owner": 2,
    "request": ["a.src.rpm", "f43", {"scratch": True}],
}
HOST = {"id": 1, "name": "b1", "arches": "i386 x86_64", "capacity": 4, "task_load": None, "ready": True}
SAMPLES = [
    (Target, TARGET),
    (Repo, REPO),
    (TaggedBuild, BUILD),
    (TaggedPackage, {"package_name": "rnv", "blocked": False}),
    (Task, TASK),
    (Host, HOST),
]


def test_each_record_takes_what_koji_says():
    assert Target.from_koji("m", TARGET) == Target("f43", "f43-build", "f43")
    moment = datetime.fromtimestamp(1795337289.25, UTC)
    assert Repo.from_koji("m", REPO) == Repo(2, "f43-build", RepoState.READY, 81, moment)
    assert TaggedPackage.from_koji("m", {"package_name": "a", "blocked": True}) == TaggedPackage("a", blocked=True)
    assert Host.from_koji("m", HOST) == Host(1, "b1", ("i386", "x86_64"), 4.0, 0.0, ready=True)
    task = Task.from_koji("m", TASK)
    assert (task.state, task.label, task.finished, task.parent) == (TaskState.FREE, None, None, None)
    assert task.request == ("a.src.rpm", "f43", {"scratch": True})
    build = TaggedBuild.from_koji("m", BUILD)
    assert (build.nvr, build.state, build.volume) == ("rnv-1.7.11-33.fc43", BuildState.COMPLETE, "DEFAULT")


@pytest.mark.parametrize("state", RepoState)
def test_a_repository_can_be_used_while_its_files_are_there(state):
    assert Repo(1, "t", state, 1, None).usable == (state.name in ("READY", "EXPIRED"))


@pytest.mark.parametrize(
    ("fields", "moment"),
    [
        ({"create_ts": 0}, datetime(1970, 1, 1, tzinfo=UTC)),
        ({"create_ts": 1.5, "create_time": "2026-01-01 00:00:00"}, datetime(1970, 1, 1, 0, 0, 1, 500000, tzinfo=UTC)),
        ({"create_time": "2026-11-22 08:49:16.5+00:00"}, datetime(2026, 11, 22, 8, 49, 16, 500000, tzinfo=UTC)),
        ({"create_time": "2026-11-22 10:49:16+02:00"}, datetime(2026, 11, 22, 8, 49, 16, tzinfo=UTC)),
        ({"create_ts": None, "create_time": "2026-11-22 08:49:16"}, datetime(2026, 11, 22, 8, 49, 16, tzinfo=UTC)),
    ],
)
def test_times_are_utc_however_they_are_written(fields, moment):
    task = Task.from_koji("getTaskInfo", {**TASK, "create_ts": None, **fields})
    assert task.created == moment
    assert task.created.utcoffset() == moment.utcoffset()


@pytest.mark.parametrize(
    "fields", [{}, {"create_ts": float("nan")}, {"create_ts": 1e300}, {"create_time": "now"}, {"create_time": 5}]
)
def test_times_that_are_none_are_refused(fields):
    with pytest.raises(KojiOutage, match="create_time"):
        Task.from_koji("getTaskInfo", {**TASK, "create_ts": None, **fields})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state", 6),
        ("state", "OPEN"),
        ("id", "10"),
        ("id", -1),
        ("id", 2**63),
        ("id", True),
        ("method", ""),
        ("owner", []),
    ],
)
def test_a_wrong_field_is_named_with_its_method(field, value):
    with pytest.raises(KojiOutage, match=f"getTaskInfo.*{field}"):
        Task.from_koji("getTaskInfo", {**TASK, field: value})


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(("record", "sample"), SAMPLES, ids=lambda value: getattr(value, "__name__", ""))
@given(data=st.data())
def test_a_hostile_answer_is_refused_or_understood_never_a_crash(record: Any, sample: dict[str, Any], data: Any):
    field = data.draw(st.sampled_from([*sample, None]))
    answer = data.draw(anything) if field is None else {**sample, field: data.draw(anything)}
    try:
        value = record.from_koji("someMethod", answer)
    except KojiOutage as refused:
        assert "someMethod" in str(refused)  # noqa: PT017 - either outcome is right
    else:
        assert isinstance(value, record)


def test_a_target_that_does_not_exist_is_none(hub, session):
    hub.say("getBuildTarget", TARGET, None)
    assert repositories.target(session, "f43") == Target("f43", "f43-build", "f43")
    assert repositories.target(session, "nosuch") is None


def test_the_newest_repository_is_asked_for_by_state(hub, session):
    hub.say("getRepo", REPO, None)
    found = repositories.newest_repo(session, "f43-build")
    assert found is not None
    assert found.id == 2
    assert hub.requests[-1].params == ("f43-build", {"state": 1, "__starstar": True})
    assert repositories.newest_repo(session, "f44-build") is None
    hub.say("repoInfo", None)
    assert repositories.repo(session, 99999) is None


def group(name: str, *members: tuple[str, str, bool], blocked: bool = False) -> dict[str, Any]:
    packages = [{"package": package, "type": kind, "blocked": gone} for package, kind, gone in members]
    return {"name": name, "blocked": blocked, "packagelist": packages, "grouplist": []}


def test_a_build_group_is_what_gets_installed(hub, session):
    members = [("make", "default", False), ("bash", "mandatory", False), ("vim", "optional", False)]
    hub.say(
        "getTagGroups",
        [group("srpm-build", ("x", "mandatory", False)), group("build", *members, ("cpio", "mandatory", True))],
    )
    assert repositories.build_group(session, "f43-build", "build", 81) == ("bash", "make")
    assert hub.requests[-1].params == ("f43-build", {"event": 81, "__starstar": True})


@pytest.mark.parametrize("groups", [[], [group("other")], [group("build", blocked=True)]])
def test_a_build_group_that_does_not_exist_is_none_and_not_empty(hub, session, groups):
    hub.say("getTagGroups", groups)
    assert repositories.build_group(session, "f43-build", "build", 5) is None


def test_an_empty_build_group_is_empty(hub, session):
    hub.say("getTagGroups", [group("build")])
    assert repositories.build_group(session, "f43-build", "build", 5) == ()


@pytest.mark.parametrize(("arches", "expected"), [("x86_64 i686", ("x86_64", "i686")), ("", ()), (None, ())])
def test_a_tag_s_arches_are_spelled_as_there(hub, session, arches, expected):
    hub.say("getBuildConfig", {"arches": arches})
    assert repositories.tag_arches(session, "f43-build") == expected


@pytest.mark.parametrize("answer", [None, "x", [1], [{"package_name": "a"}, {}]])
def test_a_list_with_anything_wrong_in_it_is_refused_as_a_whole(hub, session, answer):
    hub.say("listPackages", answer)
    with pytest.raises(KojiOutage, match="listPackages"):
        tagging.packages(session, "f43")


def test_the_latest_builds_are_asked_for_with_inheritance(hub, session):
    hub.say("listTagged", [BUILD])
    assert [build.nvr for build in tagging.latest_builds(session, "f43")] == ["rnv-1.7.11-33.fc43"]
    assert hub.requests[-1].params == ("f43", {"latest": True, "inherit": True, "__starstar": True})
    tagging.latest_builds(session, "f43", "rnv")
    assert hub.requests[-1].params[1]["package"] == "rnv"


def test_an_unknown_tag_is_refused_by_koji(hub, session):
    from xmlrpc.client import Fault

    hub.say("listTagged", Fault(1000, "No such tagInfo: 'nosuch'"))
    with pytest.raises(KojiRefusal, match="nosuch"):
        tagging.latest_builds(session, "nosuch")


def test_addresses_are_koji_s():
    config = koji_config("https://hub", topurl="https://files/", weburl="https://web/koji/")
    assert repositories.repo_url(config, "f43-build", 5, "i686") == "https://files/repos/f43-build/5/i386"
    assert repositories.repo_url(config, "a/../b c", 5, "x86_64") == "https://files/repos/a%2F..%2Fb%20c/5/x86_64"
    assert links.task_url(config, 12) == "https://web/koji/taskinfo?taskID=12"
    assert links.log_url(config, 123456789, "build.log") == "https://files/work/tasks/6789/123456789/build.log"
    assert links.log_url(config, 58, "root.log") == "https://files/work/tasks/58/58/root.log"
    search = links.build_search_url(config, "gcc-c++-1-1")
    assert search == "https://web/koji/search?match=exact&type=build&terms=gcc-c%2B%2B-1-1"
