"""openshift-apps/koschei.yml: from an empty project to pages that answer, and nothing when there is nothing to do."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.deploy.ansible.api import DROPPED, Cluster, Failure
from tests.deploy.ansible.conftest import deploy
from tests.deploy.ansible.kinds import kind_named
from tests.deploy.ansible.playbooks import DEPLOY, PASSWORD, SECRETS, Operator, interrupted
from tests.deploy.ansible.world import FIRST, NEW, OLD, Applied, World


def positions(writes: list[str], *beginnings: str) -> list[int]:
    """Where the first write of each sort is."""
    return [next(i for i, one in enumerate(writes) if one.startswith(beginning)) for beginning in beginnings]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl to render with")
def test_an_empty_project_gets_everything_in_order(empty: Cluster, operator: Operator) -> None:
    run = operator.play(DEPLOY, koschei_kustomize=["kubectl", "kustomize"])
    assert run.ok, run.output
    writes = empty.writes()
    order = positions(
        writes, "POST secrets/", "PATCH imagestreams/", "POST jobs/db-check", "POST jobs/migrate-", "PATCH dep"
    )
    assert order == sorted(order)
    assert empty.world.happened == ["0001 applied"]
    assert empty.controllers.fewest == 0
    assert len([name for name in empty.controllers.working() if name.startswith("frontend")]) == 3
    assert not [write for write in writes if write.startswith("DELETE") and "jobs/db-check" not in write]
    assert list(empty.store.final()) == list(freshly_deployed().store.final())


def test_a_second_run_changes_nothing(running: Cluster, operator: Operator) -> None:
    before = dict(running.store.objects)
    run = operator.play(DEPLOY)
    assert run.ok, run.output
    assert run.changed == 0
    assert running.store.objects == before
    assert {write.split("/")[0] for write in running.writes()} <= {f"PATCH {kind}" for kind in applied()} | {
        "PUT secrets"
    }


def applied() -> set[str]:
    return set(
        "serviceaccounts services deployments cronjobs poddisruptionbudgets imagestreams podmonitors prometheusrules "
        "networkpolicies routes".split()
    )


def test_it_can_be_interrupted_anywhere(empty: Cluster, operator: Operator) -> None:
    images = dict(empty.world.registry)
    interrupted(
        operator, DEPLOY, [Failure("POST", "secrets/koschei-frontend"), Failure("PATCH", "imagestreams/koschei", 409)]
    )
    empty.world.registry.clear()
    run = operator.play(DEPLOY)
    assert "The cluster does not import quay.io/koschei/koschei:fedora-prod" in run.said
    empty.world.registry.update(images)
    failures = ["db-check", Failure("POST", f"jobs/db-check-{OLD.digest[7:17]}", DROPPED, done=True)]
    failures += ["migrate", Failure("PATCH", "deployments/polling", 504)]
    interrupted(operator, DEPLOY, failures)
    run = operator.play(DEPLOY)
    assert run.ok, run.output
    assert without_versions(empty) == without_versions(freshly_deployed())
    assert empty.world.happened == ["0001 applied"]


def freshly_deployed() -> Cluster:
    cluster = Cluster(World())
    cluster.world.push(OLD)
    deploy(cluster)
    return cluster


def without_versions(cluster: Cluster) -> str:
    """What is there, but for the versions of Secrets: they count all that ever happened."""
    return re.sub(r"(koschei-[a-z]+)=\d+", r"\1", str(list(cluster.store.final())))


def test_no_secret_is_shown(running: Cluster, operator: Operator) -> None:
    changed = SECRETS | {"koschei-config": {"20-database.toml": PASSWORD + " and more"}}
    run = operator.play(DEPLOY, "--diff", "-vvv", koschei_secrets=changed)
    assert run.ok, run.output
    shown = run.output
    encoded = running.store.get("Secret", "koschei-config")["data"]["20-database.toml"]
    assert PASSWORD not in shown
    assert encoded not in shown
    assert set(running.store.get("Secret", "koschei-config")["data"]) == {"20-database.toml"}, "an old file is left"
    # Pods that have it are new, others are not: the frontend, the services, admin have this one.
    assert "koschei-config=" in str(running.store.get("Deployment", "polling")["spec"]["template"]["metadata"])
    assert run.changed == 2
    assert not [one for one in running.store.objects.values() if PASSWORD in str(one["metadata"])]


def test_an_imported_image_is_not_rolled_out(running: Cluster, operator: Operator) -> None:
    running.world.push(NEW)
    running.controllers.imported("koschei", "imported", NEW)
    run = operator.play(DEPLOY)
    assert (run.ok, run.changed) == (True, 0), run.output


def test_what_was_taken_out_of_the_manifests_goes_and_what_others_set_stays(
    running: Cluster, operator: Operator
) -> None:
    text = {"metadata": {"labels": {"theirs": "stays"}}, "spec": {"replicas": 0}}
    running.store.patch(kind_named("Deployment"), "scheduler", text, strategic=True)
    ours = running.store.get("Deployment", "watcher")
    ours["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "GONE", "value": "x"})
    for unwanted in ("status", "metadata"):
        ours[unwanted] = {"name": "watcher", "labels": ours["metadata"]["labels"]} if unwanted == "metadata" else {}
    running.store.apply(
        kind_named("Deployment"), {k: v for k, v in ours.items() if k != "status"}, "koschei", force=True
    )
    assert "GONE" in str(running.store.get("Deployment", "watcher"))
    run = operator.play(DEPLOY)
    assert run.ok, run.output
    assert "GONE" not in str(running.store.get("Deployment", "watcher"))
    assert running.store.get("Deployment", "scheduler")["spec"]["replicas"] == 0
    assert running.store.get("Deployment", "scheduler")["metadata"]["labels"]["theirs"] == "stays"


def test_tables_of_an_earlier_version_are_left_to_an_upgrade(empty: Cluster, operator: Operator) -> None:
    empty.world.push(NEW)
    empty.world.revisions.append(Applied(FIRST.name, FIRST.phase, "old"))
    run = operator.play(DEPLOY)
    assert not run.ok
    assert "Run manual/upgrade/koschei-full.yml" in run.said
    assert empty.controllers.working() == []
    assert empty.world.happened == []


def test_a_database_out_of_reach_is_said(empty: Cluster, operator: Operator) -> None:
    empty.world.reachable = False
    run = operator.play(DEPLOY)
    assert not run.ok
    assert "PostgreSQL does not answer. No playbook can help" in run.said
    assert empty.controllers.working() == []


def test_missing_secrets_are_named(empty: Cluster, operator: Operator) -> None:
    run = operator.play(DEPLOY, koschei_secrets={})
    assert not run.ok
    assert "has no Secret koschei-config and no Secret koschei-frontend" in run.said, run.output
    assert empty.writes() == []


def test_a_wrong_variable_is_named(empty: Cluster, operator: Operator) -> None:
    run = operator.play(DEPLOY, koschei_wait_seconds="soon")
    assert not run.ok
    assert "koschei_wait_seconds" in run.said
    assert empty.writes() == []
