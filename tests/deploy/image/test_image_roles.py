"""Every role of the image runs as restricted-v2 lets it (any user, read-only root), and ends when it is told."""

from __future__ import annotations

import json
import re

import pytest
from sqlalchemy import func, select

from koschei.db.engine import Database
from koschei.model import Build
from koschei.rules.states import BuildState
from tests.deploy.image.world import BACKEND, FIGURES, ROLES, Container, Image, World
from tests.support import wait_until

# What a process says that wanted to write where it may not, or met a mistake of ours.
TROUBLE = re.compile(r"Traceback|Read-only file system|Permission denied|mistake")


def ready_in(container: Container) -> float:
    """Wait until the role lives and is ready; the seconds it took."""
    container.wait_for("/healthz/live")
    return container.wait_for("/healthz/ready")


def stopped(container: Container) -> float:
    """Stop it, and see that it ended by itself and had nothing to complain of; the seconds it took."""
    status, seconds = container.stop()
    log = container.log()
    assert status == 0, log
    assert seconds < 10
    assert not TROUBLE.search(log), log
    return seconds


@pytest.fixture
def collection(world: World) -> World:
    """The world, with Koji's packages as a collection of ours."""
    world.admin("create-collection", "f43", "-d", "Fedora 43", "-t", "f43")
    return world


@pytest.mark.parametrize("role", ROLES)
def test_a_role_starts_answers_its_probes_and_stops_when_told(collection: World, role: str) -> None:
    container = collection.start(role)
    started = ready_in(container)
    ended = stopped(container)
    FIGURES.append(f"{role} was ready in {started:.1f} s and stopped in {ended:.1f} s")


def test_the_command_line_finds_all_well_in_the_image(world: World) -> None:
    assert "NOT OK" not in world.admin("selfcheck")
    assert json.loads(world.admin("db-check", "--json"))
    assert "1 row" in world.admin("psql", "-c", "SELECT 42 AS answer")


def test_all_roles_together_build_a_package(collection: World) -> None:
    """From the image alone: packages are read, resolved, submitted, built and shown."""
    roles = {role: collection.start(role) for role in ROLES}
    for container in roles.values():
        ready_in(container)
    wait_until(lambda: "rnv" in collection.admin("list-packages", "--all", "-c", "f43"), 60, "the packages")
    collection.admin("track", "--collection", "f43", "rnv")
    collection.admin("set-priority", "--collection", "f43", "rnv", "10000")
    database = Database(collection.database_url)
    finished = select(func.count()).where(~Build.real, Build.state == BuildState.COMPLETE)

    def built() -> int:
        with database.begin() as session:
            return int(session.execute(finished).scalar_one())

    try:
        wait_until(built, 90, "a scratch build to be complete")
    finally:
        database.dispose()
    status, page = roles["frontend"].get("/package/rnv")
    assert status == 200
    assert "rnv" in page
    for container in roles.values():
        stopped(container)


def test_the_image_resolves_with_the_package_managers_own_library(collection: World) -> None:
    container = collection.start("repo-resolver", KOSCHEI__DEPENDENCY__ENGINE="libdnf5")
    ready_in(container)
    wait_until(lambda: json.loads(container.get("/healthz/ready")[1]).get("detail"), 60, "a repository to be resolved")
    stopped(container)


def test_a_service_without_its_database_lives_and_is_not_ready(world: World) -> None:
    world.configure('db_url = "postgresql+psycopg2://nobody@127.0.0.1:1/nowhere"', "90-gone.toml")
    container = world.start("scheduler")
    container.wait_for("/healthz/live")
    assert container.get("/healthz/ready")[0] == 503
    status, seconds = container.stop()
    assert (status, seconds < 10) == (0, True)


def test_without_a_command_the_image_says_which_there_are(image: Image) -> None:
    said = image.run()
    for role in BACKEND:
        assert f"koschei-backend {role} " in said
    assert "koschei-frontend " in said
    assert "koschei-admin " in said


def test_nothing_can_be_written_but_what_is_mounted_for_it(image: Image) -> None:
    words = "for place in / /etc /opt/koschei /usr /var /var/tmp /run /root /home; do " + (
        "if touch $place/x 2>/dev/null; then echo $place; fi; done; touch /tmp/x /var/cache/koschei/x && echo fine"
    )
    assert image.run("sh", "-c", words).split() == ["fine"]


def test_the_process_has_no_right_beyond_its_users(image: Image) -> None:
    status = image.run("cat", "/proc/self/status")
    found = dict(re.findall(r"^(\w+):\s+(.*)$", status, re.MULTILINE))
    assert {found[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0000000000000000"}
    assert found["NoNewPrivs"] == "1"
    assert found["Uid"].split() == ["1000650000"] * 4
    assert found["Gid"].split() == ["0"] * 4
