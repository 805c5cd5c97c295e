"""A small hub with quick builders, its server and the official client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import koji
import pytest

from demo.hub import Binary, Hub, HubServer, SourcePackage, Timings

BASH = SourcePackage(
    "bash",
    "5.2.37",
    "1.fc43",
    build_requires=("gcc", "make >= 4.2", "(ncurses-devel or ncurses-compat)"),
    binaries=(
        Binary("bash", requires=("libc.so.6()(64bit)",), provides=("sh = 5",), files=("/usr/bin/bash", "/usr/bin/sh")),
        Binary("bash-doc", arch="noarch"),
    ),
)
RNV = SourcePackage("rnv", "1.7.11", "33.fc43", build_requires=("gcc",), binaries=(Binary("rnv"),))


class ManualClock:
    """Time that goes on when told to."""

    def __init__(self) -> None:
        self.now = 1_795_337_200.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def messages() -> list[tuple[str, dict[str, Any]]]:
    """What the hub has published."""
    return []


def fill(hub: Hub) -> Hub:
    """Users koschei and other, target f43 on two architectures, builds of bash and rnv, one repository."""
    hub.add_user("koschei", "secret")
    hub.add_user("other", "secret")
    hub.add_host("builder1", arches="i386 x86_64", capacity=40.0)
    hub.add_tag("f43")
    hub.add_tag("f43-build", arches="x86_64 i686", parents=["f43"])
    hub.add_target("f43", build_tag="f43-build", dest_tag="f43")
    hub.set_group("f43-build", "build", ["bash", "make"])
    for source in (BASH, RNV):
        hub.import_build("f43", source, announce=False)
    hub.new_repo("f43-build", wait=True)
    return hub


@pytest.fixture
def hub(tmp_path: Path, messages: list[tuple[str, dict[str, Any]]]) -> Iterator[Hub]:
    """A hub whose time goes on by itself, quickly."""
    hub = fill(Hub(tmp_path / "top", Timings.quick(), on_message=lambda topic, body: messages.append((topic, body))))
    messages.clear()
    yield hub
    hub.close()


@pytest.fixture
def still_hub(tmp_path: Path) -> Iterator[tuple[Hub, ManualClock]]:
    """A hub whose time stands still until its clock is moved."""
    clock = ManualClock()
    timings = Timings(assign=1.0, srpm=(2.0, 2.0), arch=(10.0, 10.0), repo=(30.0, 30.0))
    hub = fill(Hub(tmp_path / "still", timings, clock=clock))
    yield hub, clock
    hub.close()


@pytest.fixture
def server(hub: Hub) -> Iterator[HubServer]:
    with HubServer(hub) as server:
        yield server


Client = Callable[..., koji.ClientSession]


@pytest.fixture
def connect(server: HubServer) -> Iterator[Client]:
    """Makes official client sessions; login=False leaves them anonymous. Repeats are quick and few."""
    sessions = []

    def connect(login: bool = True, user: str = "koschei", **opts: Any) -> koji.ClientSession:
        settings = {"retry_interval": 0.05, "max_retries": 3, "offline_retry_interval": 0.05, **opts}
        session = koji.ClientSession(server.hub_url, {"user": user, "password": "secret", **settings})
        sessions.append(session)
        if login:
            session.login()
        return session

    yield connect
    for session in sessions:
        session.rsession.close()
