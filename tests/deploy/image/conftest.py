"""The image, built once, and a world for its containers to work in."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.hub import Hub, HubServer, Timings
from demo.hub.sample import build_world
from tests.deploy.image.podman import REPOSITORY, Store, UnavailableError, install, snapshot
from tests.deploy.image.world import FIGURES, Image, World

SECRET = "not a secret, only a test"
# All builds of this run bear the same time and name, so that they can be compared.
EPOCH, REVISION = "1735689600", "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="session")
def store() -> Store:
    """podman's and buildah's storage; skips, and says why, where there can be none."""
    try:
        install()
    except UnavailableError as error:
        pytest.skip(f"images cannot be built and run here: {error}")
    return Store.ours()


@pytest.fixture(scope="session")
def base(store: Store) -> str:
    """The image that ours is built on."""
    try:
        return store.base()
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def variables(store: Store, base: str) -> dict[str, str]:
    """What `make image` is told beside the names."""
    version = "import sys; print('%d.%d' % sys.version_info[:2])"
    python = store.command(base, "python3", "-c", version) if _has_python(store, base) else "3.14"
    return {"IMAGE_PYTHON": python.strip(), "SOURCE_DATE_EPOCH": EPOCH, "REVISION": REVISION}


def _has_python(store: Store, base: str) -> bool:
    return store.command(base, "sh", "-c", "command -v python3 || true").strip() != ""


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What images are built from in this run."""
    return snapshot(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="session")
def image(store: Store, request: pytest.FixtureRequest) -> Image:
    """The image to test."""
    if named := os.environ.get("KOSCHEI_TEST_IMAGE"):
        identity = store.podman("pull", "--quiet", named, timeout=900).split()[-1]
        return Image(store, identity, REPOSITORY / "build" / "sbom.cdx.json")
    base, variables, tree = (request.getfixturevalue(name) for name in ("base", "variables", "tree"))
    name = "localhost/koschei-test"
    began = time.monotonic()
    store.build(name, base, tree, **variables)
    built = Image(store, name, tree / "build" / "sbom.cdx.json")
    sizes = [int(store.podman("image", "inspect", one, "--format", "{{.Size}}")) / 1e6 for one in (name, base)]
    FIGURES.append(f"built in {time.monotonic() - began:.0f} s")
    FIGURES.append(f"{sizes[0]:.0f} MB, {sizes[0] - sizes[1]:.0f} MB of it on top of {base}")
    return built


@pytest.fixture
def world(image: Image, database_url: str, tmp_path: Path) -> Iterator[World]:
    """PostgreSQL with our tables, a Koji with one collection's packages, and settings that name both."""
    hub = Hub(tmp_path / "koji", timings=Timings.quick())
    build_world(hub)
    with HubServer(hub) as server:
        world = World(image, tmp_path / "etc", hub, database_url)
        world.configure(
            f"""
            db_url = "{database_url}"
            [koji_config]
            server = "{server.hub_url}"
            topurl = "{server.topurl}"
            weburl = "{server.weburl}"
            login_method = "login"
            login_args = {{ user = "koschei", password = "koschei" }}
            load_threshold = 1.0
            build_arches = ["x86_64"]
            [flask]
            SECRET_KEY = "{SECRET}"
            """
        )
        try:
            yield world
        finally:
            world.stop_all()
    hub.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how large the image is, and how long its roles take."""
    if FIGURES:
        terminalreporter.section("the image")
        for line in FIGURES:
            terminalreporter.write_line(line)
