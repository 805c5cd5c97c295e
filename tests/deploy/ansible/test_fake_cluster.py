"""The fake cluster does what a real one does, where the playbooks could trip over it."""

from __future__ import annotations

import pytest

from admin.commands_database import _for_playbooks
from koschei.selfcheck import DatabaseReport
from tests.deploy.ansible.api import Cluster
from tests.deploy.ansible.kinds import Object, RefusedError, kind_named
from tests.deploy.ansible.playbooks import rendered_text, role_filters
from tests.deploy.ansible.world import NEW, OLD, World
from tests.deploy.manifests.manifests import OPENSHIFT

DEPLOYMENT = kind_named("Deployment")


def said(cluster: Cluster, name: str) -> Object:
    """What the manifests say of a Deployment, as they would be applied again."""
    found = cluster.store.get("Deployment", name)
    labels = found["metadata"]["labels"]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {key: value for key, value in found["spec"].items() if key != "replicas"},
    }


def test_what_a_manager_does_not_say_any_more_goes_unless_another_says_it(running: Cluster) -> None:
    change = {"metadata": {"annotations": {"theirs": "yes"}}, "spec": {"replicas": 0}}
    running.store.patch(DEPLOYMENT, "polling", change, strategic=True)
    one = said(running, "polling")
    del one["spec"]["template"]["spec"]["volumes"][0]
    one["spec"]["template"]["spec"]["containers"][0]["volumeMounts"].pop(0)
    new = running.store.apply(DEPLOYMENT, one, "koschei", force=True)
    assert new["spec"]["template"]["spec"] == one["spec"]["template"]["spec"]
    assert new["spec"]["replicas"] == 0
    assert new["metadata"]["annotations"] == {"theirs": "yes"}


def test_applying_the_same_again_makes_no_new_version(running: Cluster) -> None:
    before = running.store.get("Deployment", "watcher")["metadata"]
    assert running.store.apply(DEPLOYMENT, said(running, "watcher"), "koschei", force=True)["metadata"] == before


def test_somebody_elses_field_is_a_conflict_unless_forced(running: Cluster) -> None:
    running.store.patch(DEPLOYMENT, "frontend", {"spec": {"replicas": 7}}, strategic=True)
    one = said(running, "frontend")
    one["spec"]["replicas"] = 3
    with pytest.raises(RefusedError, match=r"spec\.replicas"):
        running.store.apply(DEPLOYMENT, one, "koschei", force=False)
    assert running.store.apply(DEPLOYMENT, one, "koschei", force=True)["spec"]["replicas"] == 3


def test_an_object_that_is_not_what_the_api_takes_is_refused(running: Cluster) -> None:
    wrong = {"spec": {"template": {"spec": {"terminationGracePeriod": 5}}}}
    with pytest.raises(RefusedError, match="terminationGracePeriod"):
        running.store.patch(DEPLOYMENT, "polling", wrong, strategic=True)
    with pytest.raises(RefusedError, match="Redirected"):
        running.store.patch(
            kind_named("Route"),
            "frontend",
            {"spec": {"tls": {"insecureEdgeTerminationPolicy": "Redirected"}}},
            strategic=False,
        )


def test_a_service_has_never_two_pods_and_the_frontend_never_less_than_it_should(running: Cluster) -> None:
    for name in ("polling", "frontend"):
        change = {"spec": {"template": {"metadata": {"annotations": {"again": "yes"}}}}}
        running.store.patch(DEPLOYMENT, name, change, strategic=True)
    running.controllers.fewest, most = None, 0
    for _ in range(40):
        running.controllers.step()
        most = max(most, len([name for name in running.controllers.working() if name.startswith("polling-")]))
    assert (most, running.controllers.fewest) == (1, 3)


def test_pods_of_a_job_stay_when_nobody_asks_for_them_to_go(running: Cluster) -> None:
    job = role_filters()["koschei_job"](rendered_text(OPENSHIFT / "jobs"), "maintenance", f"x@{OLD.digest}")
    for background in (False, True):
        running.store.create(kind_named("Job"), job)
        running.controllers.settle()
        before = len(running.store.of("Pod", "app.kubernetes.io/component=maintenance"))
        running.controllers.delete("Job", job["metadata"]["name"], background=background)
        left = len(running.store.of("Pod", "app.kubernetes.io/component=maintenance"))
        assert (before, left) == (1, 0 if background else 1)
        for pod in running.store.of("Pod", "app.kubernetes.io/component=maintenance"):
            running.store.delete("Pod", pod["metadata"]["name"])


def test_old_pods_on_a_database_that_is_taken_from_under_them_are_noticed(running: Cluster) -> None:
    running.world.push(NEW)
    for component, harmed in (("migrate-pre", False), ("migrate", True)):
        job = role_filters()["koschei_job"](rendered_text(OPENSHIFT / "jobs"), component, f"x@{NEW.digest}")
        running.store.create(kind_named("Job"), job)
        running.controllers.settle()
        assert ("frontend of the image 'old' at 0003" in running.world.harm) is harmed
    assert [one for one in running.world.happened if one.startswith("frontend-")] != []


def test_the_answer_of_db_check_has_the_fields_of_the_real_one() -> None:
    world = World()
    status, log = world.run("db-check", ["koschei-admin", "db-check", "--json"], OLD)
    answer = role_filters()["koschei_answer"](log)
    assert status == 4
    assert set(answer) == set(_for_playbooks(DatabaseReport((), None)))
    assert answer["playbook"] == "full"
    assert answer["database_revision"] is None


@pytest.mark.parametrize("log", ["", "{", "Traceback {not: json}", '{"usable": true}', "[1, 2]", "{}{}"])
def test_a_log_without_an_answer_is_no_answer(log: str) -> None:
    assert role_filters()["koschei_answer"](log) == {}
