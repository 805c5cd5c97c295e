"""The task machine: the life of builds, and every way in which they end."""

from __future__ import annotations

from typing import Any
from xmlrpc.client import Fault

import koji
import pytest

from demo.hub import BuildContext, Hub, Outcome, SourcePackage
from tests.demo.hub.conftest import BASH, RNV, Client, ManualClock

SRC = "../packages/bash/5.2.37/1.fc43/src/bash-5.2.37-1.fc43.src.rpm"
Still = tuple[Hub, ManualClock]


def scratch(hub: Hub, opts: dict[str, Any] | None = None, target: str | None = "f43", src: str = SRC) -> int:
    with hub.locked():
        return hub.submit(src, target, {"scratch": True, **(opts or {})}, 2, 30).id


def children(hub: Hub, task_id: int) -> dict[str, tuple[str, str]]:
    """Label -> (method, state) of a task's children."""
    found = [hub.tasks[child] for child in hub.tasks[task_id].children]
    return {str(child.label): (child.method, koji.TASK_STATES[child.state]) for child in found}


def ended(hub: Hub, task_id: int) -> str:
    return str(koji.TASK_STATES[hub.wait_task(task_id).state])


def result_fault(client: koji.ClientSession, task_id: int) -> tuple[int, str]:
    fault = client.getTaskResult(task_id, raise_fault=False)
    return fault["faultCode"], fault["faultString"]


def test_a_scratch_build_makes_one_srpm_and_one_task_per_architecture(hub: Hub) -> None:
    task = scratch(hub)
    assert ended(hub, task) == "CLOSED"
    assert children(hub, task) == {
        "srpm": ("rebuildSRPM", "CLOSED"),
        "x86_64": ("buildArch", "CLOSED"),
        "i686": ("buildArch", "CLOSED"),
    }
    requests = {child.label: child.request for child in map(hub.tasks.get, hub.tasks[task].children) if child}
    srpm = f"tasks/{task + 1}/{task + 1}/bash-5.2.37-1.fc43.src.rpm"
    assert requests["srpm"] == [SRC, 2, {"repo_id": 1, "scratch": True}]
    assert requests["x86_64"] == [srpm, 2, "x86_64", True, {"repo_id": 1}]
    assert requests["i686"] == [srpm, 2, "i686", False, {"repo_id": 1}]
    assert hub.world.build(BASH.nvr).task_id != task


def test_a_build_goes_through_its_states_in_time(still_hub: Still) -> None:
    hub, clock = still_hub
    task = hub.tasks[scratch(hub)]
    seen = []
    for _ in range(300):
        hub.tick()
        labels = [str(hub.tasks[child].label) for child in task.children]
        state = (koji.TASK_STATES[task.state], len(labels))
        if not seen or seen[-1] != state:
            seen.append(state)
        clock.now += 0.1
    assert seen == [("FREE", 0), ("ASSIGNED", 0), ("OPEN", 0), ("OPEN", 1), ("OPEN", 3), ("CLOSED", 3)]
    assert task.priority == 50
    assert {hub.tasks[child].priority for child in task.children} == {49}


def test_catching_up_late_gives_the_times_at_which_things_were_due(still_hub: Still) -> None:
    hub, clock = still_hub
    task = hub.tasks[scratch(hub)]
    created = clock.now
    clock.now += 86_400
    hub.tick()
    assert task.finished
    assert task.completion_ts is not None
    assert 10 < task.completion_ts - created < 30


@pytest.mark.parametrize(
    ("kind", "code", "text", "labels"),
    [
        ("arch_failed", 1005, "error building package (arch x86_64), mock exited with status 1", 3),
        ("buildroot", 1012, "could not init mock buildroot, mock exited with status 30", 3),
        ("infra", 1, "OSError: [Errno 28] No space left on device", 3),
        ("srpm_failed", 1005, "error building srpm, mock exited with status 1", 1),
        ("lock", 1001, "unable to lock the build tag", 0),
        ("policy", 1004, "policy violation (build_from_repo_id)", 0),
    ],
)
def test_a_failure_reaches_the_parent(hub: Hub, connect: Client, kind: str, code: int, text: str, labels: int) -> None:
    hub.outcome = lambda context: Outcome(kind) if context.arch != "i686" else Outcome(duration=60)
    task = scratch(hub)
    assert ended(hub, task) == "FAILED"
    client = connect(login=False)
    got_code, got_text = result_fault(client, task)
    assert got_code == code
    assert text in got_text
    assert len(children(hub, task)) == labels
    if labels == 3:
        assert children(hub, task)["x86_64"] == ("buildArch", "FAILED")
        assert children(hub, task)["i686"] == ("buildArch", "CANCELED")
    with pytest.raises((koji.GenericError, Fault)):
        client.getTaskResult(task)


def test_a_failed_build_leaves_a_log_with_a_compiler_error(hub: Hub, connect: Client) -> None:
    hub.outcome = lambda context: Outcome("arch_failed") if context.arch == "x86_64" else Outcome(duration=60)
    task = scratch(hub)
    hub.wait_task(task)
    failed = next(child for child in hub.tasks[task].children if hub.tasks[child].fault)
    client = connect(login=False)
    assert set(client.listTaskOutput(failed)) == {"build.log", "root.log", "state.log"}
    assert b"src/main.c:42:12: error:" in client.downloadTaskOutput(failed, "build.log")
    assert client.listTaskOutput(task) == []


def test_unknown_targets_and_repositories_fail_in_the_task(hub: Hub) -> None:
    hub.world.users[2] = hub.world.users[1]
    for target, opts, fault in (
        ("nosuch", {}, (1000, "unknown build target: nosuch")),
        (None, {}, (1000, "no build target and no repo_id given")),
        (None, {"repo_id": 77}, (1005, "No such repo: 77")),
    ):
        task = hub.wait_task(scratch(hub, opts, target))
        assert task.fault is not None
        assert (task.fault.faultCode, task.fault.faultString) == fault
        assert task.children == []


def test_only_those_allowed_may_choose_a_repository(hub: Hub) -> None:
    task = hub.wait_task(scratch(hub, {"repo_id": 1}, None))
    assert task.fault is not None
    assert task.fault.faultCode == 1004
    privileged = hub.add_user("privileged", may_choose_repo=True)
    with hub.locked():
        allowed = hub.submit(SRC, None, {"scratch": True, "repo_id": 1}, privileged, 30)
    assert ended(hub, allowed.id) == "CLOSED"


def test_a_repository_that_is_not_there_yet_or_not_the_targets_is_refused(still_hub: Still) -> None:
    hub, clock = still_hub
    hub.add_tag("f44-build", arches="x86_64")
    other, unfinished = hub.new_repo("f44-build", wait=True), hub.new_repo("f43-build")
    faults = []
    for repo_id in (other, unfinished):
        task = hub.submit(SRC, "f43", {"scratch": True, "repo_id": repo_id}, 1, None)
        clock.now += 2
        hub.tick()
        assert task.fault is not None
        faults.append(task.fault.faultString)
    assert faults == ["Repo/Target mismatch: f44-build/f43-build", f"Bad repo: {unfinished} (INIT)"]


def test_a_build_without_any_repository_asks_for_one_and_waits(hub: Hub) -> None:
    hub.expire_repo(1)
    task = scratch(hub)
    assert ended(hub, task) == "CLOSED"
    child = hub.tasks[hub.tasks[task].children[0]]
    assert child.request[2]["repo_id"] == 2


def test_a_freed_task_is_taken_up_again(hub: Hub, messages: list[Any]) -> None:
    hub.outcome = lambda context: Outcome("freed") if context.attempt == 1 else None
    task = scratch(hub)
    assert ended(hub, task) == "CLOSED"
    hub.bus.flush()
    changes = [(body["old"], body["new"]) for topic, body in messages if body.get("id") == task]
    assert ("OPEN", "FREE") in changes
    assert changes[-1] == ("OPEN", "CLOSED")


def test_a_stuck_build_never_ends_until_somebody_cancels_it(still_hub: Still) -> None:
    hub, clock = still_hub
    hub.outcome = lambda context: Outcome("stuck")
    task = hub.tasks[scratch(hub)]
    clock.now += 7 * 86_400
    hub.tick()
    assert koji.TASK_STATES[task.state] == "OPEN"
    with hub.locked():
        hub.tasks.cancel(task)
    assert children(hub, task.id) == {
        "srpm": ("rebuildSRPM", "CLOSED"),
        "x86_64": ("buildArch", "CANCELED"),
        "i686": ("buildArch", "CANCELED"),
    }


def test_a_build_canceled_by_somebody_has_no_result(hub: Hub, connect: Client) -> None:
    hub.outcome = lambda context: Outcome("canceled")
    task = scratch(hub)
    assert ended(hub, task) == "CANCELED"
    with pytest.raises(koji.GenericError, match=f"Task {task} is canceled"):
        connect(login=False).getTaskResult(task, raise_fault=False)


def test_only_owners_and_admins_cancel(hub: Hub, connect: Client) -> None:
    hub.outcome = lambda context: Outcome("stuck")
    task = scratch(hub)
    with pytest.raises(koji.ActionNotAllowed, match="Cannot cancel task, not owner"):
        connect(user="other").cancelTask(task)
    owner = connect()
    assert owner.cancelTask(task) is None
    assert owner.cancelTask(task) is None
    assert ended(hub, task) == "CANCELED"


def test_a_rule_sees_the_repository_the_attempt_and_the_stage(hub: Hub) -> None:
    seen: list[BuildContext] = []

    def rule(context: BuildContext) -> None:
        seen.append(context)

    hub.outcome = rule
    hub.wait_task(scratch(hub))
    hub.wait_task(scratch(hub))
    assert [(each.stage, each.arch) for each in seen[:2]] == [("build", "noarch"), ("srpm", "noarch")]
    assert {each.arch for each in seen if each.stage == "arch"} == {"x86_64", "i686"}
    assert {each.attempt for each in seen} == {1, 2}
    assert seen[-1].repo_builds == {"bash": BASH.nvr, "rnv": RNV.nvr}
    assert seen[-1].scratch
    assert (seen[-1].package, seen[-1].target, seen[-1].repo_id) == ("bash", "f43", 1)


def test_a_broken_rule_shows_as_the_fault_of_the_build(hub: Hub) -> None:
    def rule(context: BuildContext) -> Outcome:
        raise RuntimeError("the story has a hole")

    hub.outcome = rule
    task = hub.wait_task(scratch(hub))
    assert task.fault is not None
    assert "the story has a hole" in task.fault.faultString


def test_a_slow_builder_takes_as_long_as_told(still_hub: Still) -> None:
    hub, clock = still_hub
    hub.outcome = lambda context: Outcome(duration=3600.0)
    task = hub.tasks[scratch(hub)]
    clock.now += 3600
    hub.tick()
    assert not task.finished
    clock.now += 60
    hub.tick()
    assert task.finished


def test_arches_come_from_the_package_and_can_be_overridden(hub: Hub) -> None:
    noarch = SourcePackage("docs", "1", "1", build_archs=("noarch",))
    hub.import_build("f43", noarch)
    task = scratch(hub, src="../packages/docs/1/1/src/docs-1-1.src.rpm")
    hub.wait_task(task)
    assert set(children(hub, task)) == {"srpm", "noarch"}
    task = scratch(hub, {"arch_override": "i686"})
    hub.wait_task(task)
    assert set(children(hub, task)) == {"srpm", "i686"}
    hub.import_build("f43", SourcePackage("exotic", "1", "1", exclusive_arch=("s390x",)))
    task = scratch(hub, src="../packages/exotic/1/1/src/exotic-1-1.src.rpm")
    failed = hub.wait_task(task)
    assert failed.fault is not None
    assert failed.fault.faultString == "No matching arches were found"


def test_a_full_builder_lets_tasks_wait(still_hub: Still) -> None:
    hub, clock = still_hub
    host = hub.world.hosts[1]
    host.load = 40.0
    task = hub.tasks[scratch(hub)]
    clock.now += 600
    hub.tick()
    assert koji.TASK_STATES[task.state] == "FREE"
    host.load = 0.0
    clock.now += 600
    hub.tick()
    assert koji.TASK_STATES[task.state] == "CLOSED"


def test_running_tasks_weigh_on_their_builder(still_hub: Still, hub: Hub) -> None:
    still, clock = still_hub
    scratch(still)
    loads = set()
    for _ in range(40):
        clock.now += 0.5
        still.tick()
        loads.add(round(still.builder.load(still.world.hosts[1]), 1))
    assert loads >= {0.0, 0.2, 1.2, 3.2}


def test_a_maintainers_build_becomes_the_latest_one(hub: Hub, connect: Client) -> None:
    new = SourcePackage("rnv", "1.7.12", "1.fc43", binaries=RNV.binaries)
    task = hub.start_build("f43", new, user="maintainer")
    assert ended(hub, task) == "CLOSED"
    client = connect(login=False)
    (latest,) = client.listTagged("f43", latest=True, package="rnv")
    assert latest["nvr"] == "rnv-1.7.12-1.fc43"
    assert (latest["task_id"], latest["owner_name"]) == (task, "maintainer")
    assert children(hub, task)["tag"] == ("tagBuild", "CLOSED")
    assert children(hub, task)["srpm"][0] == "buildSRPMFromSCM"
    assert client.getRPM("rnv-1.7.12-1.fc43.src")["build_id"] == latest["build_id"]


def test_a_failed_real_build_tags_nothing_and_can_be_repeated(hub: Hub) -> None:
    new = SourcePackage("rnv", "1.7.12", "1.fc43")
    hub.outcome = lambda context: Outcome("arch_failed") if context.attempt == 1 else None
    first = hub.start_build("f43", new)
    assert ended(hub, first) == "FAILED"
    failed = hub.world.build(new.nvr)
    assert failed is not None
    assert koji.BUILD_STATES[failed.state] == "FAILED"
    assert ended(hub, hub.start_build("f43", new)) == "CLOSED"
    again = hub.wait_task(hub.start_build("f43", new))
    assert again.fault is not None
    assert again.fault.faultString.startswith("Build already exists")


def test_scratch_results_move_to_the_scratch_area_and_stay_readable(hub: Hub, connect: Client) -> None:
    task = scratch(hub)
    hub.wait_task(task)
    area = hub.topdir / "scratch" / "koschei" / f"task_{task}"
    assert (area / "bash-5.2.37-1.fc43.x86_64.rpm").is_file()
    assert (area / "logs" / "x86_64" / "build.log").is_file()
    child = next(each for each in map(hub.tasks.get, hub.tasks[task].children) if each and each.label == "x86_64")
    assert (hub.tasks.directory(child) / "build.log").is_symlink()
    sizes = connect(login=False).listTaskOutput(child.id, stat=True)
    assert int(sizes["build.log"]["st_size"]) > 0
    assert "bash-doc-5.2.37-1.fc43.noarch.rpm" in sizes


def test_an_outcome_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no such outcome: 'exploded'"):
        Outcome("exploded")


def test_what_fails_inside_the_hub_does_not_stop_its_time(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise OSError("no space left")

    with hub.locked():
        hub.agenda.after(0.0, fail)
    assert ended(hub, scratch(hub)) == "CLOSED"
    assert "no space left" in caplog.text
