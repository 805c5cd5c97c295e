"""manual/upgrade/koschei-full.yml: everything is stopped, the database migrated, and everything started again."""

from __future__ import annotations

from tests.deploy.ansible.api import DROPPED, Cluster, Failure
from tests.deploy.ansible.kinds import kind_named
from tests.deploy.ansible.playbooks import DEPLOY, FULL, ROLLING, SUSPEND, Operator, interrupted
from tests.deploy.ansible.test_playbook_rolling import images, runs
from tests.deploy.ansible.world import ADDS, NEW, OLD, TAKES, Applied

MIGRATED = ["0002 applied", "0003 applied", "maintenance"]


def scale(cluster: Cluster, name: str, replicas: int) -> None:
    """As `oc scale` does."""
    cluster.store.patch(kind_named("Deployment"), name, {"spec": {"replicas": replicas}}, strategic=True)
    cluster.controllers.settle()


def replicas(cluster: Cluster) -> dict[str, int]:
    return {one["metadata"]["name"]: one["spec"]["replicas"] for one in cluster.store.of("Deployment")}


def nightly_job(cluster: Cluster) -> None:
    """The CronJob's Job is at work."""
    template = cluster.store.get("CronJob", "retention")["spec"]["jobTemplate"]
    metadata = {"name": "retention-1", "labels": template["metadata"]["labels"]}
    cluster.controllers.slow["retention"] = 10_000
    cluster.store.create(
        kind_named("Job"), {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]}
    )
    cluster.controllers.settle()


def test_all_is_stopped_migrated_and_started_in_this_order(running: Cluster, operator: Operator) -> None:
    running.world.push(NEW)
    scale(running, "scheduler", 0)  # somebody has suspended submissions
    nightly_job(running)
    before = replicas(running)
    run = operator.play(FULL)
    assert run.ok, run.output
    writes = running.writes()
    order = [
        "POST imagestreamimports/koschei",
        "POST configmaps/koschei-upgrade",
        "PATCH cronjobs/retention",
        "DELETE jobs/retention-1",
        "PATCH deployments/frontend",
        f"POST jobs/migrate-{NEW.digest[7:17]}",
        f"POST jobs/maintenance-{NEW.digest[7:17]}",
        "PATCH routes/frontend",
        "DELETE configmaps/koschei-upgrade",
    ]
    assert [writes.index(step) for step in order] == sorted(writes.index(step) for step in order)
    assert running.world.happened == MIGRATED  # and no pod was still there
    assert running.world.harm == []
    assert images(running) == runs(running) == {NEW.digest}
    assert replicas(running) == before
    assert not running.store.get("CronJob", "retention")["spec"]["suspend"]
    again = operator.play(FULL)
    assert (again.ok, again.changed) == (True, 0), again.output
    assert "There is nothing to do" in again.said
    assert running.world.happened == MIGRATED


def test_it_can_be_interrupted_anywhere(running: Cluster, operator: Operator) -> None:
    running.world.push(NEW)
    scale(running, "scheduler", 0)
    before = replicas(running)
    interrupted(
        operator,
        FULL,
        [
            Failure("POST", "configmaps/koschei-upgrade", DROPPED, done=True),
            Failure("PATCH", "cronjobs/retention", 504, times=2),
            Failure("PATCH", "deployments/frontend", 409, times=2),
        ],
    )
    running.controllers.stuck.add("polling")
    run = operator.play(FULL)
    assert not run.ok
    assert "Pods do not end: polling-" in run.said
    assert "The database was not touched" in run.said
    assert running.world.happened == []
    running.controllers.stuck.clear()
    interrupted(
        operator,
        FULL,
        [
            "migrate",
            "maintenance",
            Failure("PATCH", "routes/frontend", 500),
            Failure("DELETE", "configmaps/koschei-upgrade", 500),
        ],
    )
    run = operator.play(FULL)
    assert run.ok, run.output
    assert [one for one in running.world.happened if one != "maintenance"] == MIGRATED[:2]
    assert running.world.harm == []
    assert images(running) == runs(running) == {NEW.digest}
    assert replicas(running) == before
    assert not running.store.get("CronJob", "retention")["spec"]["suspend"]
    assert [one["metadata"]["name"] for one in running.store.of("ConfigMap")] == []


def test_a_failed_migration_shows_the_way_back_and_it_works(running: Cluster, operator: Operator) -> None:
    running.world.push(NEW)
    before = list(running.store.final())
    running.world.fail.append("migrate")
    run = operator.play(FULL)
    assert not run.ok
    assert "The Job migrate failed, and everything is stopped" in run.said
    assert "It said: migrate failed, as told" in run.said
    way_back = f"ansible-playbook manual/upgrade/koschei-full.yml -e koschei_digest={OLD.digest}"
    assert way_back in run.said
    for playbook in (DEPLOY, ROLLING, SUSPEND):
        refused = operator.play(playbook)
        assert not refused.ok
        assert "has not finished" in refused.said
    back = operator.play(FULL, koschei_digest=OLD.digest)
    assert back.ok, back.output
    assert runs(running) == {OLD.digest}
    assert [one for one in running.store.final() if one["kind"] != "ImageStream"] == [
        one for one in before if one["kind"] != "ImageStream"
    ]


def test_a_migration_that_still_runs_is_waited_for(running: Cluster, operator: Operator) -> None:
    running.world.push(NEW)
    running.controllers.slow["migrate"] = 45
    broken_off = operator.play(FULL, koschei_job_seconds=0.1)
    assert not broken_off.ok
    assert running.world.happened == []
    run = operator.play(FULL, koschei_job_seconds=10)
    assert run.ok, run.output
    assert running.world.happened == MIGRATED


def test_a_database_that_it_cannot_migrate_is_refused_before_anything_stops(
    running: Cluster, operator: Operator
) -> None:
    running.world.revisions += [Applied(one.name, one.phase, "new") for one in (ADDS, TAKES)]
    running.world.harm.clear()
    run = operator.play(FULL)
    assert not run.ok
    assert "can neither use nor migrate the database" in run.said
    assert "run the image of Koschei new or newer" in run.said
    assert replicas(running)["frontend"] == 3
    assert "POST configmaps/koschei-upgrade" not in running.writes()
