"""manual/import-image.yml and manual/upgrade/koschei-rolling.yml: another version while people go on reading."""

from __future__ import annotations

from tests.deploy.ansible.api import Cluster, Failure
from tests.deploy.ansible.playbooks import IMPORT, ROLLING, Operator, Run, interrupted
from tests.deploy.ansible.world import BROKEN, NEW, OLD, SAME_SCHEMA, Image


def images(cluster: Cluster) -> set[str]:
    """The digests that Deployments and CronJobs ask for."""
    deployments = [one["spec"]["template"] for one in cluster.store.of("Deployment")]
    cron_jobs = [one["spec"]["jobTemplate"]["spec"]["template"] for one in cluster.store.of("CronJob")]
    return {one["spec"]["containers"][0]["image"].rpartition("@")[2] for one in (*deployments, *cron_jobs)}


def runs(cluster: Cluster) -> set[str]:
    """The digests that pods run."""
    pods = [pod for pod in cluster.store.of("Pod") if pod["metadata"]["name"] in cluster.controllers.working()]
    return {pod["spec"]["containers"][0]["image"].rpartition("@")[2] for pod in pods}


def assert_nobody_noticed(cluster: Cluster) -> None:
    assert cluster.controllers.fewest == 3
    assert cluster.world.harm == []


def upgraded(run: Run, cluster: Cluster, image: Image) -> None:
    assert run.ok, run.output
    assert images(cluster) == runs(cluster) == {image.digest}
    assert_nobody_noticed(cluster)


def test_importing_changes_nothing_that_runs(running: Cluster, operator: Operator) -> None:
    running.world.push(NEW)
    run = operator.play(IMPORT)
    assert (run.ok, run.changed) == (True, 1), run.output
    assert NEW.digest in run.said
    assert running.writes() == ["POST imagestreamimports/koschei"]
    assert images(running) == runs(running) == {OLD.digest}
    again = operator.play(IMPORT)
    assert (again.ok, again.changed) == (True, 0), again.output


def test_an_import_that_fails_says_why(running: Cluster, operator: Operator) -> None:
    running.world.registry.clear()
    run = operator.play(IMPORT)
    assert not run.ok
    assert "quay.io/koschei/koschei:fedora-prod not found" in run.said
    assert images(running) == {OLD.digest}


def test_everything_is_replaced_without_a_gap_and_a_second_run_changes_nothing(
    running: Cluster, operator: Operator
) -> None:
    running.world.push(SAME_SCHEMA)
    run = operator.play(ROLLING)
    upgraded(run, running, SAME_SCHEMA)
    assert run.changed == 2  # the import and the rollout
    assert running.store.of("Job") == []
    running.writes()
    again = operator.play(ROLLING)
    assert (again.ok, again.changed) == (True, 0), again.output
    assert running.world.happened == []


def test_a_missing_schema_is_refused_with_the_playbook_to_run(running: Cluster, operator: Operator) -> None:
    running.world.push(NEW)
    run = operator.play(ROLLING)
    assert not run.ok
    assert "Nothing was rolled out. Run manual/upgrade/koschei-full.yml" in run.said
    assert "-e koschei_pre_half=true" in run.said
    assert images(running) == runs(running) == {OLD.digest}
    assert running.world.happened == []
    assert not [write for write in running.writes() if write.startswith("PATCH")]


def test_both_halves_stand_around_the_rollout_wherever_it_was_interrupted(running: Cluster, operator: Operator) -> None:
    running.world.push(NEW)
    failures = [
        Failure("POST", "imagestreamimports/koschei", 504, done=True),
        "db-check",
        "migrate-pre",
        Failure("PATCH", "deployments/frontend", 409),
        "migrate-post",
    ]
    interrupted(operator, ROLLING, failures, koschei_pre_half=True)
    assert running.world.happened == ["0002 applied"]
    run = operator.play(ROLLING, koschei_pre_half=True)
    upgraded(run, running, NEW)
    assert running.world.happened == ["0002 applied", "0003 applied"]
    again = operator.play(ROLLING, koschei_pre_half=True)
    assert (again.ok, again.changed) == (True, 0), again.output


def test_a_version_that_never_starts_leaves_the_old_frontend_and_the_way_back_works(
    running: Cluster, operator: Operator
) -> None:
    running.world.push(BROKEN)
    run = operator.play(ROLLING)
    assert not run.ok
    assert "Not all pods have come" in run.said
    assert f"go back: ansible-playbook manual/upgrade/koschei-rolling.yml -e koschei_digest={OLD.digest}" in run.said
    assert running.controllers.fewest == 3
    running.writes()
    back = operator.play(ROLLING, koschei_digest=OLD.digest)
    upgraded(back, running, OLD)
    assert "POST imagestreamimports/koschei" not in running.writes()


def test_an_image_that_was_never_imported_is_refused(running: Cluster, operator: Operator) -> None:
    run = operator.play(ROLLING, koschei_digest=NEW.digest)
    assert not run.ok
    assert f"{NEW.digest} was never imported, or is forgotten. The ImageStream koschei has {OLD.digest}" in run.said
    assert running.writes() == []


def test_an_empty_project_is_told_what_to_run_first(empty: Cluster, operator: Operator) -> None:
    run = operator.play(ROLLING)
    assert not run.ok
    assert "run openshift-apps/koschei.yml first" in run.said
    assert empty.writes() == []
