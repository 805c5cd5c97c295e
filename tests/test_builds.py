"""Running builds followed to their end: each outcome of Koji, what it changes, and that it is stored once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import koji
import pytest
from sqlalchemy import select, update

from demo.hub import BuildContext, Outcome
from koschei import builds, requests, submission
from koschei.audit import BACKEND
from koschei.builds import Progress
from koschei.errors import KojiOutage
from koschei.model import Build, Cause, Collection, KojiTask, OutboxEvent, Package, PackageStateChange
from koschei.rules.states import BuildState, PackageState, SkipReason
from koschei.submission import Submitted
from tests.koji_world import KojiWorld, koji_world, lie, source
from tests.resolving import resolve_builds


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[KojiWorld]:
    with koji_world(tmp_path, database_url, (source("foo", "1", "gcc"), source("bar", "2", "foo"))) as world:
        world.poll()
        with world.database.begin() as session:
            collection = session.scalars(select(Collection)).one()
            collection.latest_repo_id, collection.latest_repo_resolved = 2, True
        for name in ("foo", "bar"):
            world.set(name, resolved=True, needs_resolution=False)
        yield world


def start(world: KojiWorld, name: str = "foo", outcome: Outcome | None = None) -> Submitted:
    if outcome is not None:
        world.hub.outcome = lambda context: outcome if context.package == name and context.scratch else None
    result = submission.submit(
        world.database, world.koji, world.config, world.package(name).id, actor=BACKEND, now=world.now
    )
    assert isinstance(result, Submitted)
    return result


def refresh(world: KojiWorld) -> int:
    return builds.refresh(world.database, world.koji, world.config, world.now)


def finish(world: KojiWorld, name: str = "foo", outcome: Outcome | None = None) -> Build:
    """Submit a build, let it end, and see it."""
    start(world, name, outcome)
    return end(world, name)


def end(world: KojiWorld, name: str = "foo") -> Build:
    """Let the running build end, and see it."""
    for _ in range(10):
        world.later(seconds=10)
    assert refresh(world) == 1
    return world.builds(name)[0]


def events(world: KojiWorld) -> list[tuple[str, str]]:
    with world.database.begin() as session:
        rows = session.scalars(select(OutboxEvent).order_by(OutboxEvent.id)).all()
    return [(row.body["old"], row.body["new"]) for row in rows if row.body.get("name") == "foo"]


def history(world: KojiWorld) -> list[tuple[PackageState, PackageState, Cause]]:
    query = (
        select(PackageStateChange)
        .join(Package, Package.id == PackageStateChange.package_id)
        .where(Package.name == "foo")
        .order_by(PackageStateChange.id)
    )
    with world.database.begin() as session:
        return [(row.prev, row.new, row.cause) for row in session.scalars(query)]


def test_a_running_build_gets_its_repository_and_tasks_as_soon_as_koji_knows_them(world: KojiWorld) -> None:
    start(world)
    assert refresh(world) == 0
    assert world.builds("foo")[0].repo_id is None
    for _ in range(3):
        world.later(seconds=2)
    assert refresh(world) == 0
    build = world.builds("foo")[0]
    assert (build.state, build.repo_id) == (BuildState.RUNNING, 2)
    with world.database.begin() as session:
        arches = session.scalars(
            select(KojiTask.arch).where(KojiTask.build_id == build.id).order_by(KojiTask.arch)
        ).all()
    assert arches == ["i686", "x86_64"]


def test_a_completed_build_answers_what_asked_for_it(world: KojiWorld) -> None:
    world.set("foo", manual_priority=500, dependency_priority=256, build_priority=200)
    build = finish(world)
    assert (build.state, build.repo_id, build.fault_code) == (BuildState.COMPLETE, 2, None)
    package = world.package("foo")
    assert (package.manual_priority, package.dependency_priority, package.build_priority) == (0, 0, 0)
    assert (package.last_complete_build_id, package.running_build_id) == (build.id, None)
    assert package.needs_resolution, "what would be installed now is compared with this build"
    assert package.state is PackageState.OK
    assert events(world) == [("ignored", "ok")], "only the first time"


@pytest.mark.parametrize("kind", ["ok", "arch_failed", "infra"])
def test_a_build_that_runs_and_that_nobody_will_be_able_to_compare_with_asks_for_the_next_one(
    world: KojiWorld, kind: str
) -> None:
    """It makes no difference whether that is known before the build ends or afterwards."""
    resolve_builds(world)
    start(world, outcome=Outcome(kind))
    for _ in range(3):
        world.later(seconds=2)
    assert refresh(world) == 0
    world.hub.delete_repo(2)
    resolve_builds(world)
    assert world.builds("foo")[0].deps_resolved is False
    assert world.package("foo").build_priority == 0, "it may still be spoiled"
    build = end(world)
    bonus = world.config.priorities.newly_added if build.state.counted else 0
    assert world.package("foo").build_priority == bonus


@pytest.mark.parametrize(("kind", "given"), [("ok", 800), ("ok", 0), ("canceled", 800)])
def test_a_wish_that_comes_while_a_build_runs_is_not_answered_by_it(world: KojiWorld, kind: str, given: int) -> None:
    world.set("foo", manual_priority=500)
    submitted = start(world, outcome=Outcome(kind))
    with world.database.begin() as session:
        session.execute(update(Build).where(Build.id == submitted.build_id).values(cancel_requested=kind == "canceled"))
    world.set("foo", manual_priority=given)
    end(world)
    assert world.package("foo").manual_priority == given


def test_a_build_of_which_nobody_knows_why_it_was_asked_for_answers_every_wish(world: KojiWorld) -> None:
    submitted = start(world)
    world.set("foo", manual_priority=800)
    with world.database.begin() as session:
        session.execute(update(Build).where(Build.id == submitted.build_id).values(submission={}))
    end(world)
    assert world.package("foo").manual_priority == 0


def test_a_first_failure_is_announced_and_to_be_confirmed_soon(world: KojiWorld) -> None:
    build = finish(world, outcome=Outcome("arch_failed"))
    assert (build.state, build.fault_code) == (BuildState.FAILED, 1005)
    assert build.fault_text is not None
    assert "mock exited" in build.fault_text
    assert world.package("foo").build_priority == 200
    assert world.package("foo").state is PackageState.FAILING
    assert events(world)[-1] == ("ok", "failing")
    assert history(world)[-1] == (PackageState.OK, PackageState.FAILING, Cause.BUILD)


def test_a_second_failure_in_a_row_is_neither_announced_nor_hurried(world: KojiWorld) -> None:
    finish(world, outcome=Outcome("arch_failed"))
    before = events(world)
    world.later(hours=1)
    build = finish(world, outcome=Outcome("srpm_failed"))
    assert build.state is BuildState.FAILED
    assert world.package("foo").build_priority == 0
    assert events(world) == before


def test_another_packages_failure_does_not_hide_a_first_failure(world: KojiWorld) -> None:
    finish(world, "bar", Outcome("arch_failed"))
    world.later(minutes=1)
    finish(world, "foo", Outcome("arch_failed"))
    assert world.package("foo").build_priority == 200


@pytest.mark.parametrize(("kind", "code"), [("infra", 1), ("lock", 1001)])
def test_a_build_that_koji_spoiled_is_kept_and_says_nothing_about_the_package(
    world: KojiWorld, kind: str, code: int
) -> None:
    world.set("foo", manual_priority=500)
    before = world.package("foo")
    start(world, outcome=Outcome(kind))
    world.set("foo", scheduler_skip_reason=SkipReason.NO_ARCH)  # a person asked for another build meanwhile
    build = end(world)
    package = world.package("foo")
    assert (build.state, build.fault_code) == (BuildState.SPOILED, code)
    assert package.state is before.state
    assert package.last_build_id == before.last_build_id
    assert package.manual_priority == 500, "the wish is not fulfilled yet"
    assert package.spoiled_in_a_row == 1
    assert package.retry_after == world.now + timedelta(seconds=world.config.koji_config.spoiled_retry_delay)
    assert package.scheduler_skip_reason is None, "it waits for that build now"
    assert events(world) == [("ignored", "ok")]


def test_patience_grows_with_each_spoiled_build_in_a_row(world: KojiWorld) -> None:
    finish(world, outcome=Outcome("infra"))
    finish(world, outcome=Outcome("infra"))
    package = world.package("foo")
    assert package.spoiled_in_a_row == 2
    assert package.retry_after == world.now + timedelta(seconds=2 * world.config.koji_config.spoiled_retry_delay)


def test_our_own_mistake_is_not_the_packages_failure(world: KojiWorld) -> None:
    build = finish(world, outcome=Outcome("policy"))
    assert (build.state, build.fault_code) == (BuildState.SPOILED, 1004)
    assert world.package("foo").state is PackageState.OK


def test_a_build_cancelled_by_somebody_else_is_kept_as_cancelled(world: KojiWorld) -> None:
    build = finish(world, outcome=Outcome("canceled"))
    assert build.state is BuildState.CANCELED
    assert world.package("foo").state is PackageState.OK
    assert world.package("foo").retry_after is not None


def test_a_cancel_request_cancels_in_koji_and_withdraws_the_wish(world: KojiWorld) -> None:
    world.set("foo", manual_priority=500)
    submitted = start(world, outcome=Outcome("stuck"))
    with world.database.begin() as session:
        session.execute(update(Build).where(Build.id == submitted.build_id).values(cancel_requested=True))
    world.later(seconds=30)
    assert refresh(world) == 1
    assert world.builds("foo")[0].state is BuildState.CANCELED
    assert world.koji.read("getTaskInfo", submitted.task_id)["state"] == 3
    assert world.package("foo").manual_priority == 0


def refuse_to_cancel(truth: object, *_: object, **__: object) -> None:
    raise koji.ActionNotAllowed("Cannot cancel task, not owner")


def test_a_build_that_koji_does_not_cancel_is_followed_to_its_end(
    world: KojiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    lie(monkeypatch, "cancelTask", refuse_to_cancel)
    submitted = start(world)
    with world.database.begin() as session:
        requests.cancel_build(session, BACKEND, submitted.build_id)
    for _ in range(3):
        assert refresh(world) == 0
    assert world.hub.calls.count["cancelTask"] == 1, "it would be refused for ever"
    build = world.builds("foo")[0]
    assert (build.state, build.cancel_requested) == (BuildState.RUNNING, False)
    assert build.fault_text == "Koji would not cancel it: Cannot cancel task, not owner"
    build = end(world)
    assert (build.state, build.fault_text) == (BuildState.COMPLETE, None)


def test_a_new_request_to_cancel_forgets_that_one_before_was_refused(
    world: KojiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted = start(world, outcome=Outcome("stuck"))
    with monkeypatch.context() as refusing, world.database.begin() as session:
        lie(refusing, "cancelTask", refuse_to_cancel)
        requests.cancel_build(session, BACKEND, submitted.build_id)
        session.commit()
        assert refresh(world) == 0
    with world.database.begin() as session:
        requests.cancel_build(session, BACKEND, submitted.build_id)
    assert world.builds("foo")[0].fault_text is None
    assert refresh(world) == 1
    assert world.builds("foo")[0].state is BuildState.CANCELED


def test_an_overdue_build_that_koji_does_not_cancel_is_given_up(
    world: KojiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    lie(monkeypatch, "cancelTask", refuse_to_cancel)
    start(world, outcome=Outcome("stuck"))
    world.later(hours=49)
    assert refresh(world) == 1
    build = world.builds("foo")[0]
    assert build.state is BuildState.SPOILED
    assert build.fault_text.startswith("Koji would not cancel it: Cannot cancel task, not owner. It has been running")


def test_an_overdue_build_is_cancelled(world: KojiWorld) -> None:
    submitted = start(world, outcome=Outcome("stuck"))
    world.later(hours=47)
    assert refresh(world) == 0
    world.later(hours=2)
    assert refresh(world) == 1
    build = world.builds("foo")[0]
    assert build.state is BuildState.CANCELED
    assert build.fault_text == "Cancelled: longer than koji_config.task_timeout"
    assert world.koji.read("getTaskInfo", submitted.task_id)["state"] == 3


def test_a_freed_task_goes_on(world: KojiWorld) -> None:
    assert finish(world, outcome=Outcome("freed")).state is BuildState.COMPLETE


def test_an_end_is_stored_once_however_often_it_is_told(world: KojiWorld) -> None:
    build = finish(world, outcome=Outcome("arch_failed"))
    with world.database.begin() as session:
        again = builds.finish(session, build.id, Progress(BuildState.COMPLETE, world.now, 2), world.config, world.now)
    assert not again
    assert world.builds("foo")[0].state is BuildState.FAILED
    assert len(history(world)) == 2


def test_an_outage_changes_nothing_and_the_end_is_seen_afterwards(world: KojiWorld) -> None:
    start(world)
    for _ in range(10):
        world.later(seconds=10)
    world.hub.faults.offline()
    with pytest.raises(KojiOutage):
        refresh(world)
    assert world.builds("foo")[0].state is BuildState.RUNNING
    world.hub.faults.clear()
    assert refresh(world) == 1


def test_more_running_builds_than_one_multicall_holds_are_not_mixed_up(tmp_path: Path, database_url: str) -> None:
    names = [f"p{i:02}" for i in range(12)]
    with koji_world(tmp_path, database_url, [source(n) for n in names], multicall_chunk_size=5) as world:
        world.poll()
        with world.database.begin() as session:
            collection = session.scalars(select(Collection)).one()
            collection.latest_repo_id, collection.latest_repo_resolved = 2, True

        def odd_ones_fail(context: BuildContext) -> Outcome | None:
            odd = context.scratch and context.package.startswith("p") and int(context.package[1:]) % 2
            return Outcome("arch_failed") if odd else None

        world.hub.outcome = odd_ones_fail
        for name in names:
            world.set(name, resolved=True)
            start(world, name)
        for _ in range(10):
            world.later(seconds=10)
        assert refresh(world) == len(names)
        states = {name: world.builds(name)[0].state for name in names}
    assert states == {n: BuildState.FAILED if int(n[1:]) % 2 else BuildState.COMPLETE for n in names}


def test_nonsense_about_one_build_does_not_stop_the_others(world: KojiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted = start(world, "foo", Outcome("arch_failed"))
    start(world, "bar")
    for _ in range(10):
        world.later(seconds=10)

    def odd(truth: Any, task_id: int, **_: Any) -> Any:
        return {"faultCode": "x"} if task_id == submitted.task_id else truth()

    lie(monkeypatch, "getTaskResult", odd)
    assert refresh(world) == 1
    assert world.builds("bar")[0].state is BuildState.COMPLETE
    assert world.builds("foo")[0].state is BuildState.RUNNING
    world.later(hours=48)
    assert refresh(world) == 1
    build = world.builds("foo")[0]
    assert build.state is BuildState.SPOILED, "there is a way out that needs nobody"
    assert build.fault_text == "Koji did not tell how the build ended within koji_config.task_timeout"


def test_a_build_that_cannot_be_stored_does_not_stop_the_others(
    world: KojiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted = start(world, "foo", Outcome("arch_failed"))
    start(world, "bar")
    for _ in range(10):
        world.later(seconds=10)

    def odd(truth: Any, task_id: int, **_: Any) -> Any:
        return {"faultCode": 2**40, "faultString": "?"} if task_id == submitted.task_id else truth()

    lie(monkeypatch, "getTaskResult", odd)
    assert refresh(world) == 1
    assert world.builds("bar")[0].state is BuildState.COMPLETE


def test_senseless_answers_to_everything_are_an_outage(world: KojiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    start(world, "foo", Outcome("arch_failed"))
    for _ in range(10):
        world.later(seconds=10)

    def down(truth: Any, *_: Any, **__: Any) -> Any:
        world.hub.faults.offline()
        return {"faultCode": "x"}

    lie(monkeypatch, "getTaskResult", down)
    with pytest.raises(KojiOutage):
        refresh(world)
    assert world.builds("foo")[0].state is BuildState.RUNNING


@pytest.mark.parametrize("kind", ["infra", "canceled"])
def test_a_package_is_compared_again_after_a_build_that_did_not_count(world: KojiWorld, kind: str) -> None:
    """A repository that came while the build ran found nothing to compare, and took the dependency term away."""
    start(world, outcome=Outcome(kind))
    world.set("foo", needs_resolution=False)
    for _ in range(10):
        world.later(seconds=10)
    refresh(world)
    assert world.package("foo").needs_resolution
