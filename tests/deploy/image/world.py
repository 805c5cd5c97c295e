"""The image's containers as Koschei's processes, with a PostgreSQL and a Koji outside of them."""

from __future__ import annotations

import json
import subprocess
import textwrap
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.hub import Hub
from demo.ports import free_port
from tests.deploy.image.podman import Store
from tests.support import wait_until

BACKEND = ("watcher", "polling", "repo-resolver", "build-resolver", "scheduler")
ROLES = ("frontend", *BACKEND)
FIGURES: list[str] = []
"""What was measured, for the end of the run."""


@dataclass(frozen=True)
class Image:
    """An image, and what can be asked of it."""

    store: Store
    name: str
    sbom: Path
    """The one that lies beside it."""

    def run(self, *words: str, mounts: tuple[str, ...] = ()) -> str:
        """Run a command in a fresh container; what it prints."""
        return self.store.command(self.name, *words, mounts=mounts)

    def inspect(self) -> dict[str, Any]:
        """What podman knows of it."""
        (found,) = json.loads(self.store.podman("image", "inspect", self.name))
        return dict(found)


@dataclass
class Container:
    """A role that runs."""

    store: Store
    name: str
    port: int
    began: float = field(default_factory=time.monotonic)

    def get(self, path: str) -> tuple[int, str]:
        """A page of its port; status 0 when nothing listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait_for(self, path: str, timeout: float = 60) -> float:
        """Wait until `path` answers 200; seconds since the start."""
        try:
            wait_until(lambda: self.get(path)[0] == 200, timeout, f"{self.name}{path}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.get(path)}\n{self.log()}") from error
        return time.monotonic() - self.began

    def stop(self) -> tuple[int, float]:
        """Tell it to stop (SIGTERM, and SIGKILL 10 seconds later): its exit status, and how long it took."""
        began = time.monotonic()
        self.store.podman("stop", "--time", "10", self.name)
        seconds = time.monotonic() - began
        return int(self.store.podman("inspect", "--format", "{{.State.ExitCode}}", self.name)), seconds

    def log(self) -> str:
        """What it wrote, on either output."""
        command = ["podman", *self.store.options, "logs", self.name]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
        return done.stdout

    def remove(self) -> None:
        """Leave nothing of it."""
        self.store.podman("rm", "--force", "--time", "0", "--ignore", self.name)


@dataclass
class World:
    """Settings in a folder, as Secrets are mounted, and the containers that were started with them."""

    image: Image
    folder: Path
    hub: Hub
    database_url: str
    containers: list[Container] = field(default_factory=list)

    @property
    def mounts(self) -> tuple[str, ...]:
        """The settings' place in a container."""
        return (f"{self.folder}:/etc/koschei:ro",)

    def configure(self, text: str, name: str = "50-test.toml") -> None:
        """Write a settings file that any user may read."""
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o755)
        for parent in self.folder.parents[:2]:
            parent.chmod(0o755)
        (self.folder / name).write_text(textwrap.dedent(text))
        (self.folder / name).chmod(0o644)

    def admin(self, *words: str) -> str:
        """Run koschei-admin in a container; what it prints."""
        return self.image.run("koschei-admin", *words, mounts=self.mounts)

    def start(self, role: str, **environment: str) -> Container:
        """Start a role. Its port is a free one of this machine's loopback."""
        port = free_port()
        key = role.replace("-", "_").upper()
        variables = {
            f"KOSCHEI__SERVICES__{key}__HEALTH_HOST": "127.0.0.1",
            f"KOSCHEI__SERVICES__{key}__HEALTH_PORT": str(port),
            f"KOSCHEI__SERVICES__{key}__INTERVAL": "1",
            **environment,
        }
        command = ["koschei-backend", role]
        if role == "frontend":
            variables = environment
            command = ["koschei-frontend", "--bind", f"127.0.0.1:{port}"]
        store = self.image.store
        container = Container(store, f"koschei-{role}-{uuid.uuid4().hex[:8]}", port)
        self.containers.append(container)
        words = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
        options = [*words, *store.run_options(*self.mounts)]
        store.podman("run", "--detach", "--name", container.name, *options, self.image.name, *command)
        return container

    def stop_all(self) -> None:
        """Remove all containers."""
        for container in self.containers:
            container.remove()
