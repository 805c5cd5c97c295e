"""A fake cluster, empty or with a Koschei that runs, and somebody who runs playbooks against it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.ansible.api import Cluster, serving
from tests.deploy.ansible.controllers import REGISTRY
from tests.deploy.ansible.forkserver import interpreter
from tests.deploy.ansible.kinds import kind_named
from tests.deploy.ansible.playbooks import SECRETS, Operator, rendered_text, role_filters
from tests.deploy.ansible.world import FIRST, OLD, Applied, World
from tests.deploy.manifests.manifests import OPENSHIFT


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The interpreter of Ansible's modules."""
    with interpreter(tmp_path_factory.mktemp("forkserver")) as program:
        yield program


@pytest.fixture
def empty() -> Iterator[Cluster]:
    """A project with nothing in it, a database without tables, and an image in the registry."""
    world = World()
    world.push(OLD)
    with serving(Cluster(world)) as cluster:
        yield cluster


@pytest.fixture
def running(empty: Cluster) -> Cluster:
    """A project in which the old version runs, as the playbook koschei.yml leaves it."""
    deploy(empty)
    return empty


def deploy(cluster: Cluster) -> None:
    """Put what koschei.yml would have made into the cluster, without the playbook."""
    filters = role_filters()
    cluster.world.revisions.append(Applied(FIRST.name, FIRST.phase, "old"))
    for one in filters["koschei_secret_objects"](SECRETS, {}):
        cluster.store.create(kind_named("Secret"), one)
    versions = filters["koschei_versions"](cluster.store.of("Secret"))
    text = rendered_text(OPENSHIFT / "overlays" / "production")
    for one in filters["koschei_objects"](text, f"{REGISTRY}@{OLD.digest}", versions):
        cluster.store.apply(kind_named(one["kind"]), one, "koschei", force=True)
    cluster.controllers.settle()
    cluster.controllers.fewest = None


@pytest.fixture
def operator(request: pytest.FixtureRequest, python: str, tmp_path: Path) -> Operator:
    """Somebody with access to the cluster of the test, whichever it is."""
    name = "running" if "running" in request.fixturenames else "empty"
    found = Operator(request.getfixturevalue(name), tmp_path)
    found.prepare()
    found.variables["ansible_python_interpreter"] = python
    return found
