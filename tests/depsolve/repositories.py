"""Repositories made for a test by createrepo_c, and an HTTP server that can be told to misbehave."""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Rpm:
    """A package to be: `nevra` is name-[epoch:]version-release.arch, dependencies are as in a spec file."""

    nevra: str
    requires: Sequence[str] = ()
    requires_pre: Sequence[str] = ()
    provides: Sequence[str] = ()
    conflicts: Sequence[str] = ()
    obsoletes: Sequence[str] = ()
    recommends: Sequence[str] = ()
    supplements: Sequence[str] = ()
    files: Sequence[str] = ()
    self_provides: bool = True


def write_repository(folder: Path, rpms: Sequence[Rpm], compression: str = "gz", filelists: bool = True) -> Path:
    """A repository as createrepo_c writes it; createrepo_c itself decides which files primary.xml has."""
    task = {"folder": str(folder), "rpms": [asdict(rpm) for rpm in rpms]}
    task |= {"compression": compression, "filelists": filelists}
    writer = start_writer()
    assert writer.stdin is not None
    assert writer.stdout is not None
    writer.stdin.write(json.dumps(task) + "\n")
    writer.stdin.flush()
    assert writer.stdout.readline() == "done\n", f"the repository in {folder} was not written"
    return folder


@cache
def start_writer() -> subprocess.Popen[str]:
    """createrepo_c works in a process of its own: in one with libdnf5 it does not."""
    command = [sys.executable, str(Path(__file__).with_name("repository_writer.py"))]
    writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(writer.communicate)
    return writer


@dataclass
class Server:
    """Serves `folder`; `statuses` maps a path to HTTP statuses for its next requests, `asked` is what was asked for."""

    url: str
    folder: Path
    asked: list[str] = field(default_factory=list)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    hold: threading.Event | None = None


class Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args: Any, state: Server, **kwargs: Any) -> None:
        self.state = state
        super().__init__(*args, directory=str(state.folder), **kwargs)

    def do_GET(self) -> None:
        self.state.asked.append(self.path)
        if self.state.hold is not None and "primary" in self.path:
            self.state.hold.wait(20)
        statuses = self.state.statuses.get(self.path)
        if statuses:
            self.send_error(statuses.pop(0))
        elif self.path in self.state.cut:
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"only this")
        else:
            super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: what was asked for is in `asked`."""
