"""Submitting scratch builds: what Koji is asked, and that nothing is lost or doubled whatever goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import koji
import pytest
from sqlalchemy import select

from koschei import submission
from koschei.audit import BACKEND, Actor
from koschei.errors import KojiAuthError, KojiOutage, LostReply
from koschei.koji.session import KojiSession
from koschei.model import Build, Collection, Environment, LogEntry
from koschei.rules.states import BuildState, SkipReason
from koschei.submission import NotSubmitted, Obstacle, Submitted
from tests.koji_world import KojiWorld, koji_world, lie, source

SOURCES = (source("foo", "1", "gcc"), source("bar", "2", "foo"))
PERSON = Actor(Environment.ADMIN, "alice")


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[KojiWorld]:
    with koji_world(tmp_path, database_url, SOURCES) as world:
        world.poll()
        with world.database.begin() as session:
            collection = session.scalars(select(Collection)).one()
            collection.latest_repo_id, collection.latest_repo_resolved = 2, True
        for name in ("foo", "bar"):
            world.set(name, resolved=True, needs_resolution=False)
        yield world


def submit(world: KojiWorld, name: str, *, forced: bool = True) -> Submitted | NotSubmitted:
    actor = PERSON if forced else BACKEND
    return submission.submit(
        world.database, world.koji, world.config, world.package(name).id, actor=actor, now=world.now, forced=forced
    )


def scratch_tasks(world: KojiWorld) -> list[int]:
    tasks = world.koji.read("listTasks", opts={"method": "build", "decode": True})
    return sorted(task["id"] for task in tasks if task["request"] and (task["request"][2] or {}).get("scratch"))


def test_koji_is_asked_for_a_scratch_build_of_the_latest_tagged_source(world: KojiWorld) -> None:
    result = submit(world, "foo")
    assert isinstance(result, Submitted)
    task = world.koji.read("getTaskInfo", result.task_id, request=True)
    assert task["request"][:2] == ["../packages/foo/1/1.fc43/src/foo-1-1.fc43.src.rpm", "f43"]
    assert task["request"][2] == {"scratch": True, "arch_override": "x86_64 i686"}
    assert task["priority"] == 50


def test_a_submitted_build_is_running_and_remembers_why_it_was_asked_for(world: KojiWorld) -> None:
    world.set("foo", manual_priority=500)
    result = submit(world, "foo")
    assert isinstance(result, Submitted)
    build = world.builds("foo")[0]
    assert (build.state, build.task_id, build.version, build.real) == (BuildState.RUNNING, result.task_id, "1", False)
    assert build.submission is not None
    assert build.submission["by"] == "alice"
    assert build.submission["priority"]["manual"] == 500
    assert world.package("foo").running_build_id == build.id
    assert world.package("foo").manual_priority == 500, "it is reset when the build has succeeded or failed"


def test_a_persons_submission_is_audited(world: KojiWorld) -> None:
    submit(world, "foo")
    with world.database.begin() as session:
        assert "Build of foo submitted" in session.scalars(select(LogEntry.message)).all()


def test_a_package_with_a_running_build_is_refused(world: KojiWorld) -> None:
    assert isinstance(submit(world, "foo"), Submitted)
    assert submit(world, "foo") == NotSubmitted("Package has a running build")
    assert len(scratch_tasks(world)) == 1


def test_the_scheduler_is_refused_what_no_longer_may_be_built(world: KojiWorld) -> None:
    world.set("foo", resolved=False)
    result = submit(world, "foo", forced=False)
    assert result == NotSubmitted("Package dependencies are not resolvable")
    assert scratch_tasks(world) == []


def test_limits_hold_for_the_scheduler_and_not_for_a_person(tmp_path: Path, database_url: str) -> None:
    with koji_world(tmp_path, database_url, SOURCES, max_builds=1) as world:
        world.poll()
        with world.database.begin() as session:
            collection = session.scalars(select(Collection)).one()
            collection.latest_repo_id, collection.latest_repo_resolved = 2, True
        world.set("foo", resolved=True)
        world.set("bar", resolved=True)
        assert isinstance(submit(world, "foo", forced=False), Submitted)
        blocked = submit(world, "bar", forced=False)
        assert isinstance(blocked, NotSubmitted)
        assert blocked.obstacle is Obstacle.LIMIT
        assert isinstance(submit(world, "bar"), Submitted)


def test_a_busy_architecture_holds_the_scheduler_back(world: KojiWorld) -> None:
    with world.hub.locked():
        for host in world.hub.world.hosts.values():
            host.ready = False
    result = submit(world, "foo", forced=False)
    assert isinstance(result, NotSubmitted)
    assert result.obstacle is Obstacle.LOAD
    assert "100%" in result.reason


def test_a_package_koji_does_not_have_waits_a_day_before_koji_is_asked_again(world: KojiWorld) -> None:
    world.add_package("ghost")
    assert submit(world, "ghost") == NotSubmitted("No SRPM found for package ghost")
    package = world.package("ghost")
    assert package.scheduler_skip_reason is SkipReason.NO_SRPM
    assert package.retry_after is not None
    assert (package.retry_after - world.now).total_seconds() == 24 * 3600


def test_a_package_for_no_allowed_architecture_is_not_submitted(world: KojiWorld) -> None:
    world.set("foo", arch_override="s390x")
    assert submit(world, "foo") == NotSubmitted("No allowed arches found for package foo")
    assert world.package("foo").scheduler_skip_reason is SkipReason.NO_ARCH


def test_an_outage_before_the_request_leaves_nothing_behind(world: KojiWorld) -> None:
    submit_before = world.koji.read("getAPIVersion")
    assert submit_before == 1
    original = submission.koji_tasks.submit

    def offline_first(*args: object, **kwargs: object) -> int:
        world.hub.faults.offline()
        return original(*args, **kwargs)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(submission.koji_tasks, "submit", offline_first)
        with pytest.raises(KojiOutage):
            submit(world, "foo")
    world.hub.faults.clear()
    assert [build for build in world.builds("foo") if not build.real] == []
    assert world.package("foo").running_build_id is None


def test_a_lost_answer_is_found_again_in_koji(world: KojiWorld) -> None:
    world.hub.faults.cut_reply_after("build", 1)
    result = submit(world, "foo")
    assert isinstance(result, NotSubmitted)
    assert result.obstacle is Obstacle.KOJI
    assert world.builds("foo")[0].task_id is None
    assert submit(world, "foo") == NotSubmitted("Package has a running build"), "never submitted twice"
    settled = submission.reconcile(world.database, world.koji, world.config, world.now)
    assert settled == 1
    assert [world.builds("foo")[0].task_id] == scratch_tasks(world)


def test_an_intention_that_koji_never_got_is_given_up_after_the_grace(world: KojiWorld) -> None:
    world.hub.faults.cut_reply_before("build", 9)
    submit(world, "foo")
    world.hub.faults.clear()
    assert scratch_tasks(world) == []
    assert submission.reconcile(world.database, world.koji, world.config, world.now) == 0, "it may still be on its way"
    world.later(seconds=world.config.koji_config.submit_grace + 1)
    assert submission.reconcile(world.database, world.koji, world.config, world.now) == 1
    assert world.package("foo").running_build_id is None
    assert isinstance(submit(world, "foo"), Submitted)


def test_a_crash_between_koji_and_the_database_is_reconciled(world: KojiWorld) -> None:
    with pytest.MonkeyPatch.context() as patch:

        def die(*args: object) -> bool:
            raise KeyboardInterrupt

        patch.setattr(submission, "_store_task", die)
        with pytest.raises(KeyboardInterrupt):
            submit(world, "foo")
    assert world.builds("foo")[0].task_id is None
    submission.reconcile(world.database, world.koji, world.config, world.now)
    assert [world.builds("foo")[0].task_id] == scratch_tasks(world)


def test_reconciling_never_takes_a_task_that_another_build_follows(world: KojiWorld) -> None:
    first = submit(world, "foo")
    assert isinstance(first, Submitted)
    with world.database.begin() as session:
        build = session.get_one(Build, first.build_id)
        build.state, build.finished, build.repo_id = BuildState.COMPLETE, world.now, 2
    world.later(seconds=1)
    world.hub.faults.cut_reply_before("build", 9)
    with world.database.begin() as session:
        session.execute(submission.update(submission.Package).values(running_build_id=None))
    submit(world, "foo")
    world.hub.faults.clear()
    world.later(seconds=120)
    submission.reconcile(world.database, world.koji, world.config, world.now)
    assert [build.task_id for build in world.builds("foo") if not build.real] == [first.task_id]


def refuse(patch: pytest.MonkeyPatch, error: koji.GenericError) -> list[str]:
    """Have Koji refuse all builds; the sources it was asked to build."""
    asked: list[str] = []

    def refused(_truth: Any, source: str, *_: Any, **__: Any) -> Any:
        asked.append(source)
        raise error

    lie(patch, "build", refused)
    return asked


def test_a_refusal_of_koji_is_kept_as_a_spoiled_build_and_makes_the_package_wait(
    world: KojiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, koji.GenericError("No such channel: nosuch"))
    result = submit(world, "foo")
    assert isinstance(result, NotSubmitted)
    assert "No such channel: nosuch" in result.reason
    build = world.builds("foo")[0]
    assert (build.state, build.fault_code) == (BuildState.SPOILED, 1000)
    assert world.package("foo").retry_after is not None
    assert world.package("foo").last_build_id == world.builds("foo")[-1].id, "it is not counted"


@pytest.mark.parametrize("forced", [True, False])
def test_that_we_may_not_submit_is_told_and_leaves_nothing_behind(
    world: KojiWorld, monkeypatch: pytest.MonkeyPatch, forced: bool
) -> None:
    world.set("foo", manual_priority=500)
    refuse(monkeypatch, koji.ActionNotAllowed("only admins may create high-priority tasks"))
    with pytest.raises(KojiAuthError, match="only admins may create high-priority tasks"):
        submit(world, "foo", forced=forced)
    assert [build for build in world.builds("foo") if not build.real] == []
    package = world.package("foo")
    assert (package.running_build_id, package.retry_after, package.spoiled_in_a_row) == (None, None, 0)
    assert package.manual_priority == 500


def test_without_a_login_koji_is_asked_nothing(world: KojiWorld) -> None:
    config = world.config.koji_config.model_copy(update={"login_method": "logout", "login_args": {}})
    world.hub.calls.clear()
    with KojiSession(config) as nobody, pytest.raises(KojiAuthError, match=r"koji_config\.login_method"):
        submission.submit(
            world.database, nobody, world.config, world.package("foo").id, actor=BACKEND, now=world.now, forced=False
        )
    assert world.hub.calls.requests == 0
    assert [build for build in world.builds("foo") if not build.real] == []


def reconcile(world: KojiWorld) -> int:
    return submission.reconcile(world.database, world.koji, world.config, world.now)


def test_a_collection_whose_tag_koji_does_not_know_is_an_obstacle_and_no_error(world: KojiWorld) -> None:
    with world.database.begin() as session:
        session.scalars(select(Collection)).one().dest_tag = "nosuch"
    world.set("foo", scheduler_skip_reason=SkipReason.NO_ARCH, retry_after=world.now - timedelta(hours=1))
    result = submit(world, "foo", forced=False)
    assert isinstance(result, NotSubmitted)
    assert result.obstacle is Obstacle.COLLECTION
    assert "nosuch" in result.reason
    package = world.package("foo")
    assert package.retry_after == world.now + timedelta(seconds=world.config.koji_config.spoiled_retry_delay)
    assert package.scheduler_skip_reason is SkipReason.NOT_TOLD, "no build of it was spoiled"


def test_what_was_in_the_way_of_a_build_is_forgotten_once_it_is_submitted(world: KojiWorld) -> None:
    world.set("foo", scheduler_skip_reason=SkipReason.NO_ARCH, retry_after=world.now + timedelta(hours=20))
    assert isinstance(submit(world, "foo"), Submitted)
    assert (world.package("foo").scheduler_skip_reason, world.package("foo").retry_after) == (None, None)
    spoiled = world.now + timedelta(minutes=20)
    world.set("bar", retry_after=spoiled)
    assert isinstance(submit(world, "bar"), Submitted)
    assert world.package("bar").retry_after == spoiled, "nothing else was in the way"


def test_nonsense_about_a_package_has_it_wait_so_that_others_get_their_turn(
    world: KojiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    lie(monkeypatch, "listRPMs", lambda truth, **_: [{"arch": "src"}])
    result = submit(world, "foo", forced=False)
    assert isinstance(result, NotSubmitted)
    assert (result.obstacle, "nonsense" in result.reason) == (Obstacle.PACKAGE, True)
    assert world.package("foo").retry_after is not None
    assert isinstance(submit(world, "bar"), NotSubmitted)
    assert world.package("bar").retry_after is None, "a person may try again at once"


def test_an_outage_is_not_taken_for_nonsense(world: KojiWorld) -> None:
    package_id = world.package("foo").id
    world.hub.faults.offline()
    with pytest.raises(KojiOutage):
        submission.submit(
            world.database, world.koji, world.config, package_id, actor=BACKEND, now=world.now, forced=False
        )
    assert world.package("foo").retry_after is None


def test_a_package_that_is_gone_is_said_to_be(world: KojiWorld) -> None:
    result = submission.submit(world.database, world.koji, world.config, 4711, actor=BACKEND, now=world.now)
    assert result == NotSubmitted("The package is gone")


def test_an_edit_while_koji_is_asked_is_not_undone_by_the_answer(
    world: KojiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.set("foo", arch_override="s390x")

    def edited(truth: Any, *args: Any, **options: Any) -> Any:
        world.set("foo", arch_override="x86_64")
        return truth()

    lie(monkeypatch, "getBuildConfig", edited)
    assert submit(world, "foo") == NotSubmitted("No allowed arches found for package foo")
    assert (world.package("foo").scheduler_skip_reason, world.package("foo").retry_after) == (None, None)


def test_the_grace_of_a_lost_answer_begins_when_it_was_lost(world: KojiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow hub: we stop waiting after five minutes, and it makes the task half a minute later."""
    clock = [1000.0]
    monkeypatch.setattr(submission.time, "monotonic", lambda: clock[0])

    def slow(*args: object) -> int:
        clock[0] += 300
        raise LostReply("no answer within 300 seconds")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(submission.koji_tasks, "submit", slow)
        submit(world, "foo")
    world.later(seconds=301)
    assert reconcile(world) == 0, "the hub may still be at it"
    build = world.builds("foo")[0]
    asked = build.submission
    assert asked is not None
    world.koji.write("build", asked["source"], asked["target"], asked["opts"], priority=30)
    world.later(seconds=30)
    assert reconcile(world) == 1
    assert [world.builds("foo")[0].task_id] == scratch_tasks(world)


@pytest.mark.parametrize("changed", [{"scratch": False}, {"arch_override": None}, {"repo_id": 2}, {"fail_fast": False}])
def test_a_task_that_is_not_exactly_what_was_asked_is_never_taken(
    tmp_path: Path, database_url: str, changed: dict[str, Any]
) -> None:
    with koji_world(tmp_path, database_url, SOURCES, build_opts={"fail_fast": True}) as world:
        world.poll()
        with world.database.begin() as session:
            collection = session.scalars(select(Collection)).one()
            collection.latest_repo_id, collection.latest_repo_resolved = 2, True
        world.hub.faults.cut_reply_before("build", 9)
        submit(world, "foo")
        world.hub.faults.clear()
        asked = world.builds("foo")[0].submission
        assert asked is not None
        opts = {key: value for key, value in {**asked["opts"], **changed}.items() if value is not None}
        world.koji.write("build", asked["source"], asked["target"], opts, priority=30)
        reconcile(world)
        assert world.builds("foo")[0].task_id is None


def test_a_task_number_that_an_earlier_build_has_ends_the_build_and_cancels_the_task(
    world: KojiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Koji was restored from a backup, or is another one: it counts from a lower number again."""
    first = submit(world, "foo")
    assert isinstance(first, Submitted)
    with world.database.begin() as session:
        build = session.get_one(Build, first.build_id)
        build.state, build.finished, build.repo_id = BuildState.COMPLETE, world.now, 2
        session.execute(submission.update(submission.Package).values(running_build_id=None))
    world.later(minutes=1)
    cancelled: list[int] = []
    monkeypatch.setattr(submission.koji_tasks, "submit", lambda *_: first.task_id)
    monkeypatch.setattr(submission.koji_tasks, "cancel", lambda _, task_id: cancelled.append(task_id))
    result = submit(world, "foo")
    assert isinstance(result, NotSubmitted)
    assert "is it the same Koji" in result.reason
    assert cancelled == [first.task_id]
    build = world.builds("foo")[0]
    assert (build.state, build.task_id) == (BuildState.SPOILED, None)
    assert world.package("foo").retry_after is not None, "or it would be submitted again at once, for ever"


def test_a_task_that_another_running_build_has_adopted_is_not_cancelled(
    world: KojiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = submit(world, "foo")
    assert isinstance(first, Submitted)
    monkeypatch.setattr(submission.koji_tasks, "submit", lambda *_: first.task_id)
    result = submit(world, "bar")
    assert isinstance(result, NotSubmitted)
    assert world.koji.read("getTaskInfo", first.task_id)["state"] != 3
    monkeypatch.undo()
    world.later(seconds=world.config.koji_config.submit_grace + 1)
    assert reconcile(world) == 1
    assert isinstance(submit(world, "bar"), Submitted)


def test_an_intention_that_was_given_up_has_its_package_compared_again(world: KojiWorld) -> None:
    world.hub.faults.cut_reply_before("build", 9)
    submit(world, "foo")
    world.hub.faults.clear()
    world.later(seconds=world.config.koji_config.submit_grace + 1)
    assert reconcile(world) == 1
    assert world.package("foo").needs_resolution, "while it seemed to run, changes did not count"
