"""Our Koji layer against the stand-in: whole lives of builds, and outages in the middle of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demo.hub import Binary, Hub, HubServer, Outcome, SourcePackage, Timings
from koschei.errors import KojiAuthError, KojiOutage, KojiRefusal, LostReply
from koschei.koji import load, repositories, srpms, tagging, tasks
from koschei.koji.arches import build_arches
from koschei.koji.records import RepoState, SrpmFacts, TaskState
from koschei.koji.session import KojiSession
from koschei.koji.tasks import FaultKind, Succeeded

from .conftest import koji_config

RNV = SourcePackage("rnv", "1.7.11", "33.fc43", build_requires=("gcc", "make >= 4.2"), binaries=(Binary("rnv"),))
NVR = ("rnv", "1.7.11", "33.fc43")
SRC = "../packages/rnv/1.7.11/33.fc43/src/rnv-1.7.11-33.fc43.src.rpm"
Rule = Callable[[Any], Outcome | None]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(tmp_path / "top", Timings.quick())
    hub.add_user("koschei", "secret", may_choose_repo=True)
    hub.add_user("other", "secret")
    hub.add_host("builder1", arches="i386 x86_64", capacity=40.0)
    hub.add_tag("f43")
    hub.add_tag("f43-build", arches="x86_64 i686", parents=["f43"])
    hub.add_target("f43", build_tag="f43-build", dest_tag="f43")
    hub.set_group("f43-build", "build", ["bash", "make"])
    hub.import_build("f43", RNV)
    hub.new_repo("f43-build", wait=True)
    yield hub
    hub.close()


@pytest.fixture
def server(world: Hub) -> Iterator[HubServer]:
    with HubServer(world) as server:
        yield server


@pytest.fixture
def as_user(server: HubServer) -> Iterator[Callable[..., KojiSession]]:
    sessions = []

    def make(user: str | None = "koschei") -> KojiSession:
        login = (
            {"login_args": {"user": user, "password": "secret"}}
            if user
            else {"login_method": "logout", "login_args": {}}
        )
        sessions.append(
            KojiSession(koji_config(server.hub_url, topurl=server.topurl, **login), sleep=lambda seconds: None)
        )
        return sessions[-1]

    yield make
    server.hub.faults.clear()
    for session in sessions:
        session.close()


@pytest.fixture
def koji(as_user) -> KojiSession:
    return as_user()


def submit(koji: KojiSession, **opts: object) -> int:
    return tasks.submit(koji, SRC, "f43", opts, 30)


def test_everything_about_a_tag_is_read(koji, as_user):
    for session in (koji, as_user(None)):
        target = repositories.target(session, "f43")
        assert target is not None
        assert repositories.tag_arches(session, target.build_tag) == ("x86_64", "i686")
        repo = repositories.newest_repo(session, target.build_tag)
        assert repo is not None
        assert repo == repositories.repo(session, repo.id)
        assert (repo.state, repo.usable, repo.tag) == (RepoState.READY, True, "f43-build")
        assert repositories.build_group(session, "f43-build", "build", repo.create_event) == ("bash", "make")
        (build,) = tagging.latest_builds(session, "f43")
        assert tagging.latest_builds(session, "f43-build", "rnv") == [build]
        assert (build.name, build.version, build.release) == NVR
        assert [(package.name, package.blocked) for package in tagging.packages(session, "f43")] == [("rnv", False)]
        assert srpms.source_path(session, session.config, build) == SRC
        facts = srpms.srpm_facts(session, [NVR, ("nosuch", "1", "1")])
        assert facts == {NVR: SrpmFacts(*NVR, build_requires=("gcc", "make >= 4.2")), ("nosuch", "1", "1"): None}
        choice = build_arches(facts[NVR], repositories.tag_arches(session, "f43-build"), ("i386", "x86_64"), None)
        assert choice.override == "x86_64 i686"
        assert load.load(session, choice.arches, ()) == 0.0


def test_what_is_not_there_is_none_or_refused(koji):
    assert repositories.target(koji, "nosuch") is None
    assert repositories.repo(koji, 99999) is None
    assert tagging.latest_builds(koji, "f43", "nosuch") == []
    for ask in (tagging.latest_builds, tagging.packages, repositories.newest_repo, repositories.tag_arches):
        with pytest.raises(KojiRefusal, match="nosuch"):
            ask(koji, "nosuch")
    assert tasks.tasks(koji, [99999]) == {99999: None}
    with pytest.raises(KojiRefusal):
        tasks.outcome(koji, 99999)


def test_a_missing_source_file_is_not_a_package_without_requirements(world, koji):
    world.faults.hide_srpm("-".join(NVR))
    assert srpms.srpm_facts(koji, [NVR]) == {NVR: None}


def test_a_scratch_build_is_followed_to_its_end(world, koji):
    task_id = submit(koji, arch_override="x86_64")
    world.wait_task(task_id)
    task = tasks.tasks(koji, [task_id])[task_id]
    children = tasks.children(koji, [task_id])[task_id]
    assert (task.state, task.parent, task.request) == (
        TaskState.CLOSED,
        None,
        (SRC, "f43", {"scratch": True, "arch_override": "x86_64"}),
    )
    assert task.created <= task.finished <= datetime.now(UTC) + timedelta(seconds=1)
    assert [(child.method, child.arch) for child in children] == [("rebuildSRPM", "noarch"), ("buildArch", "x86_64")]
    assert tasks.repo_id_of(children) == repositories.newest_repo(koji, "f43-build").id
    assert tasks.outcome(koji, task_id) == Succeeded()


@pytest.mark.parametrize(
    ("kind", "blamed", "code"),
    [
        ("arch_failed", FaultKind.PACKAGE, 1005),
        ("srpm_failed", FaultKind.PACKAGE, 1005),
        ("buildroot", FaultKind.PACKAGE, 1012),
        ("infra", FaultKind.KOJI, 1),
        ("lock", FaultKind.KOJI, 1001),
        ("policy", FaultKind.OURS, 1004),
    ],
)
def test_a_failed_build_is_blamed_on_the_right_one(world, koji, kind, blamed, code):
    world.outcome = lambda context: Outcome(kind)
    task_id = submit(koji)
    world.wait_task(task_id)
    failed = tasks.outcome(koji, task_id)
    assert (failed.kind, failed.code) == (blamed, code)


def test_a_build_for_an_unknown_target_is_our_mistake(world, koji):
    task_id = tasks.submit(koji, SRC, "nosuch", {}, 30)
    world.wait_task(task_id)
    assert tasks.outcome(koji, task_id).kind is FaultKind.OURS


def test_a_running_build_is_cancelled_and_has_no_outcome(world, koji, as_user):
    world.outcome = lambda context: Outcome("stuck")
    task_id = submit(koji)
    with pytest.raises(KojiRefusal):
        tasks.cancel(as_user("other"), task_id)
    with pytest.raises(KojiRefusal):
        tasks.outcome(koji, task_id)
    tasks.cancel(koji, task_id)
    tasks.cancel(koji, task_id)
    tasks.cancel(koji, 99999)
    assert tasks.tasks(koji, [task_id])[task_id].state is TaskState.CANCELED
    with pytest.raises(KojiRefusal):
        tasks.outcome(koji, task_id)


def test_a_submission_whose_reply_is_lost_happened_once_and_is_found(world, koji, as_user):
    since = datetime.now(UTC) - timedelta(seconds=1)
    submit(as_user("other"))
    world.faults.cut_reply_after("build")
    with pytest.raises(LostReply):
        submit(koji)
    (found,) = tasks.find_submissions(koji, SRC, "f43", since)
    assert found.request == (SRC, "f43", {"scratch": True})
    assert world.calls.count["build"] == 2
    assert tasks.find_submissions(koji, SRC, None, since) == []
    assert tasks.find_submissions(koji, SRC, "f43", datetime.now(UTC) + timedelta(hours=1)) == []


def test_a_session_that_expired_after_a_write_is_replaced(world, koji):
    world.faults.lie_after_renew()
    submit(koji)
    world.faults.expire_sessions()
    assert repositories.target(koji, "f43") is not None
    world.faults.expire_sessions()
    assert submit(koji) > 0
    world.faults.close_sessions()
    assert submit(koji) > 0
    assert world.calls.count["build"] == 3


@pytest.mark.parametrize("outage", ["offline", "lockout", "http"])
def test_an_outage_is_told_and_over_when_it_is_over(world, koji, outage):
    getattr(world.faults, outage)(*([503] if outage == "http" else []))
    with pytest.raises(KojiOutage):
        repositories.target(koji, "f43")
    with pytest.raises(KojiOutage):
        submit(koji)
    world.faults.clear()
    assert repositories.target(koji, "f43") is not None
    assert world.calls.count["build"] == 0


@pytest.mark.parametrize("trouble", ["html", "reset_next", "cut_reply_before", "cut_reply_after"])
def test_a_hiccup_is_not_noticed_by_a_reader(world, koji, trouble):
    assert repositories.target(koji, "f43") is not None
    getattr(world.faults, trouble)()
    assert repositories.target(koji, "f43") is not None


def test_a_write_that_never_arrived_is_not_taken_for_done(world, koji):
    since = datetime.now(UTC) - timedelta(seconds=1)
    world.faults.cut_reply_before("build", n=2)
    with pytest.raises(LostReply):
        submit(koji)
    assert tasks.find_submissions(koji, SRC, "f43", since) == []


def test_strangers_are_not_let_in(server):
    config = koji_config(server.hub_url, login_args={"user": "koschei", "password": "wrong"})
    with KojiSession(config) as session, pytest.raises(KojiAuthError):
        session.read("getAPIVersion")
