"""The demo's folder: its settings for Koschei as a file, and the environment that lets a shell join in.

All that makes the demo quick is said here, in the configuration: Koschei does not know that it is in one.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shlex
import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from demo.ports import HOST, free_port, free_ports

SERVICES = ("watcher", "polling", "repo-resolver", "build-resolver", "scheduler")
DEFAULT_FOLDER = Path(__file__).resolve().parent / ".run"


class DemoError(Exception):
    """The demo cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Ports:
    """Where things listen, all on 127.0.0.1; `health` by service."""

    dashboard: int
    health: Mapping[str, int]

    @classmethod
    def choose(cls, dashboard: int) -> Ports:
        """`dashboard` as it is (0: a free one), and free ones for the rest. DemoError when it is taken."""
        chosen = dashboard or free_port()
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, chosen))
            except OSError as error:
                raise DemoError(
                    f"The dashboard cannot have port {chosen} ({error.strerror}): choose another with --port, "
                    "or any free one with --port 0"
                ) from error
            free = free_ports(len(SERVICES))
        return cls(chosen, dict(zip(SERVICES, free, strict=True)))

    @property
    def url(self) -> str:
        """Address of the dashboard."""
        return f"http://{HOST}:{self.dashboard}"


class Folder:
    """The folder that everything of one demo is kept in; only one demo at a time has it."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: TextIO | None = None

    @property
    def config(self) -> Path:
        return self.path / "koschei.toml"

    @property
    def bus_config(self) -> Path:
        return self.path / "fedora-messaging.toml"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def take(self) -> None:
        """Make it ours and empty. DemoError when another demo runs in it, or it holds what is not a demo's."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = (self.path / "lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            self._lock = None
            raise DemoError(
                f"Another demo runs in {self.path}: stop it first, or give this one a folder with --folder"
            ) from None
        shutil.rmtree(self.logs, ignore_errors=True)
        self._clear()
        self.logs.mkdir()

    def release(self) -> None:
        """Let another demo have it. Only logs are left, if there are any."""
        if self._lock is None:
            return
        self._clear()
        if not any(self.logs.iterdir()):
            self.logs.rmdir()
        self._lock.close()
        self._lock = None

    def _clear(self) -> None:
        for name in ("koji", "cache", "postgres", "rabbitmq"):
            if (self.path / name).exists():
                shutil.rmtree(self.path / name)
        for path in (self.config, self.bus_config, self.path / "env"):
            path.unlink(missing_ok=True)

    def write_config(self, tables: Mapping[str, Any]) -> None:
        """Write the settings; they hold a password, so they are ours alone."""
        self.config.touch(mode=0o600)
        self.config.write_text("# Written by the demo; see demo/settings.py.\n" + toml(tables))

    def environment(self) -> dict[str, str]:
        """Our environment for Koschei's processes: with these settings, and none that somebody set for another."""
        kept = {key: value for key, value in os.environ.items() if not key.upper().startswith("KOSCHEI")}
        repository = str(Path(__file__).resolve().parents[1])
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, (repository, os.environ.get("PYTHONPATH"))))
        if kept.pop("PYTHONDONTWRITEBYTECODE", None):
            # Whoever set it wants no files beside the sources; but compiling everything in each process takes seconds.
            kept["PYTHONPYCACHEPREFIX"] = str(self.path / "pycache")
        return kept | {"KOSCHEI_CONFIG": str(self.config), "WEB_CONCURRENCY": "1"}

    def write_env(self) -> Path:
        """Write the file that a shell sources to talk to this demo with koschei-admin."""
        path = self.path / "env"
        path.write_text(
            f"# . {path}   lets koschei-admin talk to the demo while it runs\n"
            f"export KOSCHEI_CONFIG={shlex.quote(str(self.config))}\n"
            f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"\n'
        )
        return path


def toml(tables: Mapping[str, Any], prefix: str = "") -> str:
    """The settings as TOML: what is not a table first, then each table."""
    lines = [f"{key} = {_value(value)}" for key, value in tables.items() if not isinstance(value, Mapping)]
    text = "".join(f"{line}\n" for line in lines)
    for key, value in tables.items():
        if isinstance(value, Mapping):
            text += f"\n[{prefix}{key}]\n" + toml(value, f"{prefix}{key}.")
    return text


def _value(value: object) -> str:
    # JSON's texts, numbers, truths and lists are TOML's too.
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def common(folder: Folder, ports: Ports, database_url: str) -> dict[str, Any]:
    """The settings of every demo: where it keeps things, who it is to people, and that whoever logs in is its admin."""
    return {
        "db_url": database_url,
        "flask": {"SECRET_KEY": secrets.token_hex(32)},
        "bypass_login": "demo",
        "frontend": {"external_url": ports.url},
        "directories": {"cachedir": str(folder.path / "cache")},
        "logging": {"format": "text"},
        "services": {
            name.replace("-", "_"): {"health_host": HOST, "health_port": port} for name, port in ports.health.items()
        },
    }


def active(
    folder: Folder, ports: Ports, database_url: str, koji: Mapping[str, Any], *, endless: bool
) -> dict[str, Any]:
    """The settings of the demo with its own Koji: everything looks often, and hardly waits for anything.

    In an `endless` one, packages that were built minutes ago are built again when something they need changes.
    """
    tables = common(folder, ports, database_url)
    tables["links"] = {}  # the sample distribution has no pages elsewhere
    intervals = {"polling": 1, "repo_resolver": 1, "build_resolver": 1, "scheduler": 0.25, "watcher": 1}
    for name, seconds in intervals.items():
        tables["services"][name]["interval"] = seconds
    tables["koji_config"] = {
        "build_arches": ["x86_64", "aarch64"],
        "max_builds": 20,
        "load_threshold": 0.9,
        "task_priority": 5,
        "submit_grace": 4,
        "spoiled_retry_delay": 1,
        # The demo has weeks of builds happen within minutes.
        "max_package_builds_per_day": 1000,
        **koji,
    }
    if endless:
        tables["priorities"] = {"t0": 0.05}
    return tables


def passive(folder: Folder, ports: Ports, database_url: str, koji: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the demo with somebody's Koji: anonymous, and no more curious than a real installation."""
    tables = common(folder, ports, database_url)
    tables["services"]["polling"]["interval"] = 300
    tables["services"]["repo_resolver"]["interval"] = 10
    tables["koji_config"] = {"login_method": "logout", **koji}
    return tables
