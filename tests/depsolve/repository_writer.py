"""Writes repositories with createrepo_c. Each line of standard input is a task in JSON; `done` is the answer to it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import createrepo_c as cr

COMPARISONS = {"<": "LT", "<=": "LE", "=": "EQ", ">=": "GE", ">": "GT"}


def entry(text: str) -> tuple[str, str | None, str | None, str | None, str | None, bool]:
    words = text.split()
    if text.startswith("(") or len(words) != 3:
        return (text, None, None, None, None, False)
    epoch, _, rest = words[2].rpartition(":")
    version, _, release = rest.partition("-")
    return (words[0], COMPARISONS[words[1]], epoch or "0", version, release or None, False)


def package(rpm: Mapping[str, Any]) -> Any:
    rest, _, arch = rpm["nevra"].rpartition(".")
    name, version, release = rest.rsplit("-", 2)
    epoch, _, version = version.rpartition(":")
    made = cr.Package()
    made.name, made.epoch, made.version, made.release, made.arch = name, epoch or "0", version, release, arch
    made.pkgId = hashlib.sha256(rpm["nevra"].encode()).hexdigest()
    made.checksum_type = "sha256"
    made.summary = made.description = name
    made.location_href = f"Packages/{rpm['nevra']}.rpm"
    own = [f"{name} = {epoch or 0}:{version}-{release}"] if rpm["self_provides"] else []
    made.provides = [entry(text) for text in [*rpm["provides"], *own]]
    for kind in ("requires", "conflicts", "obsoletes", "recommends", "supplements"):
        setattr(made, kind, [entry(text) for text in rpm[kind]])
    made.requires = [*made.requires, *((*entry(text)[:5], True) for text in rpm["requires_pre"])]
    made.files = [("", f"{Path(path).parent}/", Path(path).name) for path in rpm["files"]]
    return made


def write_repository(folder: Path, rpms: Sequence[Mapping[str, Any]], compression: str, filelists: bool) -> None:
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


if __name__ == "__main__":
    for line in sys.stdin:
        task = json.loads(line)
        write_repository(Path(task["folder"]), task["rpms"], task["compression"], task["filelists"])
        print("done", flush=True)
