"""manual/suspend.yml and manual/resume.yml: submissions stop and nothing else; then all is as it was."""

from __future__ import annotations

import re
import shlex

from tests.deploy.ansible.api import Cluster, Failure
from tests.deploy.ansible.playbooks import DEPLOY, RESUME, SUSPEND, Operator, Run, interrupted
from tests.deploy.manifests.manifests import REPOSITORY

WORDS = 'Builds are suspended until 18:00 UTC: "Koji\'s" outage'


def assert_no_change(run: Run) -> None:
    assert (run.ok, run.changed) == (True, 0), run.output


def others(cluster: Cluster) -> list[object]:
    """Everything but the scheduler."""
    return [one for one in cluster.store.final() if one["metadata"]["name"] != "scheduler"]


def test_suspending_stops_the_scheduler_and_nothing_else(running: Cluster, operator: Operator) -> None:
    before, pods = others(running), set(running.controllers.working())
    run = operator.play(SUSPEND)
    assert run.ok, run.output
    assert running.writes() == ["PATCH deployments/scheduler"]
    running.controllers.settle()
    assert others(running) == before
    assert {name.rpartition("-")[0] for name in pods - set(running.controllers.working())} == {"scheduler"}
    assert_no_change(operator.play(SUSPEND))
    assert_no_change(operator.play(DEPLOY))
    resumed = operator.play(RESUME)
    assert resumed.ok, resumed.output
    running.controllers.settle()
    assert {name.rpartition("-")[0] for name in running.controllers.working()} >= {"scheduler"}
    assert_no_change(operator.play(RESUME))
    assert running.world.notice is None


def test_an_announcement_comes_and_goes_wherever_it_was_interrupted(running: Cluster, operator: Operator) -> None:
    failures = ["notice", Failure("PATCH", "deployments/scheduler", 504, times=2)]
    interrupted(operator, SUSPEND, failures, koschei_notice=WORDS)
    assert operator.play(SUSPEND, koschei_notice=WORDS).ok
    assert running.world.notice == WORDS
    assert running.store.get("Deployment", "scheduler")["spec"]["replicas"] == 0
    interrupted(operator, RESUME, [Failure("PATCH", "deployments/scheduler", 504, times=2), "notice"])
    assert running.store.get("Deployment", "scheduler")["spec"]["replicas"] == 1
    assert operator.play(RESUME).ok
    assert running.world.notice is None
    assert_no_change(operator.play(RESUME))


def test_what_the_guide_has_announced_is_announced_to_its_last_word(running: Cluster, operator: Operator) -> None:
    guide = (REPOSITORY / "docs" / "operations.md").read_text()
    (option,) = re.findall(r"`(-e '[^`]*koschei_notice[^`]*)`", guide)
    assert operator.play(SUSPEND, *shlex.split(option)).ok
    assert running.world.notice == "Builds are suspended until 18:00 UTC"
