"""Repositories made for a test by createrepo_c, and an HTTP server that can be told to misbehave."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import createrepo_c as cr

COMPARISONS = {"<": "LT", "<=": "LE", "=": "EQ", ">=": "GE", ">": "GT"}


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


def entry(text: str) -> tuple[str, str | None, str | None, str | None, str | None, bool]:
    words = text.split()
    if text.startswith("(") or len(words) != 3:
        return (text, None, None, None, None, False)
    epoch, _, rest = words[2].rpartition(":")
    version, _, release = rest.partition("-")
    return (words[0], COMPARISONS[words[1]], epoch or "0", version, release or None, False)


def package(rpm: Rpm) -> Any:
    rest, _, arch = rpm.nevra.rpartition(".")
    name, version, release = rest.rsplit("-", 2)
    epoch, _, version = version.rpartition(":")
    made = cr.Package()
    made.name, made.epoch, made.version, made.release, made.arch = name, epoch or "0", version, release, arch
    made.pkgId = hashlib.sha256(rpm.nevra.encode()).hexdigest()
    made.checksum_type = "sha256"
    made.summary = made.description = name
    made.location_href = f"Packages/{rpm.nevra}.rpm"
    own = [f"{name} = {epoch or 0}:{version}-{release}"] if rpm.self_provides else []
    made.provides = [entry(text) for text in [*rpm.provides, *own]]
    for kind in ("requires", "conflicts", "obsoletes", "recommends", "supplements"):
        setattr(made, kind, [entry(text) for text in getattr(rpm, kind)])
    made.requires = [*made.requires, *((*entry(text)[:5], True) for text in rpm.requires_pre)]
    made.files = [("", f"{Path(path).parent}/", Path(path).name) for path in rpm.files]
    return made


def write_repository(folder: Path, rpms: Sequence[Rpm], compression: str = "gz", filelists: bool = True) -> Path:
    """A repository as createrepo_c writes it; createrepo_c itself decides which files primary.xml has."""
    repodata = folder / "repodata"
    repodata.mkdir(parents=True)
    kinds = {
        "gz": (cr.GZ_COMPRESSION, ".gz"),
        "xz": (cr.XZ_COMPRESSION, ".xz"),
        "bz2": (cr.BZ2_COMPRESSION, ".bz2"),
        "zst": (cr.ZSTD_COMPRESSION, ".zst"),
        "plain": (cr.NO_COMPRESSION, ""),
    }
    kind, suffix = kinds[compression]
    repomd = cr.Repomd()
    writers = {"primary": cr.PrimaryXmlFile, "filelists": cr.FilelistsXmlFile}
    if not filelists:
        del writers["filelists"]
    for name, writer in writers.items():
        path = repodata / f"{name}.xml{suffix}"
        contentstat = cr.ContentStat(cr.SHA256)
        file = writer(str(path), kind, contentstat)
        file.set_num_of_pkgs(len(rpms))
        for rpm in rpms:
            file.add_pkg(package(rpm))
        file.close()
        record = cr.RepomdRecord(name, str(path))
        record.load_contentstat(contentstat)
        record.fill(cr.SHA256)
        repomd.set_record(record)
    (repodata / "repomd.xml").write_text(repomd.xml_dump())
    return folder


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
