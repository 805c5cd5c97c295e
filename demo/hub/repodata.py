"""Writes a repository's metadata: real repomd, primary, filelists and other, made with createrepo_c.

Only metadata: the packages are described by `tables.Rpm`, and their locations are Koji's (toplink/packages/...), but
the RPM files do not exist. The XML of a package never changes, so each is made once and kept.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import koji

from .createrepo import createrepo_c
from .rpmdata import Dep, binary_provides, digest, parse_deps
from .tables import Rpm

_COMPARISONS = {2: "LT", 4: "GT", 8: "EQ", 10: "LE", 12: "GE"}
_KINDS = ("primary", "filelists", "other")


class RepodataWriter:
    """Writes repositories below `topdir`; `compression` is 'zstd' (as Koji does today) or 'gz'."""

    def __init__(self, topdir: Path, compression: str = "zstd") -> None:
        self._topdir = topdir
        self._compression = compression
        self._lock = threading.Lock()
        self._xml: dict[int, tuple[str, str, str]] = {}

    def write(self, directory: Path, arch: str, rpms: Iterable[Rpm]) -> None:
        """Metadata of the RPMs that `arch` can install into directory/arch/repodata; sorted by NEVRA."""
        if self._compression not in ("zstd", "gz"):
            raise ValueError(f"repodata compression {self._compression!r}: choose 'zstd' or 'gz'")
        fitting = sorted(
            (rpm for rpm in rpms if koji.canonArch(rpm.arch) in (arch, "noarch")), key=lambda rpm: rpm.nvra
        )
        repodata = directory / arch / "repodata"
        repodata.mkdir(parents=True)
        repomd = createrepo_c.Repomd()
        for kind, path in self._write_files(repodata, fitting).items():
            record = createrepo_c.RepomdRecord(kind, str(path))
            record.fill(createrepo_c.SHA256)
            record.rename_file()
            repomd.set_record(record)
        (repodata / "repomd.xml").write_text(repomd.xml_dump())
        (directory / arch / "toplink").symlink_to(Path("../../../.."))

    def _write_files(self, repodata: Path, rpms: list[Rpm]) -> dict[str, Path]:
        gzip = self._compression == "gz"
        compression = createrepo_c.GZ_COMPRESSION if gzip else createrepo_c.ZSTD_COMPRESSION
        classes = (createrepo_c.PrimaryXmlFile, createrepo_c.FilelistsXmlFile, createrepo_c.OtherXmlFile)
        paths = {kind: repodata / f"{kind}.xml.{'gz' if gzip else 'zst'}" for kind in _KINDS}
        chunks = [self._chunks(rpm) for rpm in rpms]
        for index, (path, file_class) in enumerate(zip(paths.values(), classes, strict=True)):
            file = file_class(str(path), compression)
            file.set_num_of_pkgs(len(chunks))
            for chunk in chunks:
                file.add_chunk(chunk[index])
            file.close()
        return paths

    def _chunks(self, rpm: Rpm) -> tuple[str, str, str]:
        with self._lock:
            if rpm.id not in self._xml:
                package = describe(rpm)
                self._xml[rpm.id] = (
                    createrepo_c.xml_dump_primary(package),
                    createrepo_c.xml_dump_filelists(package),
                    createrepo_c.xml_dump_other(package),
                )
            return self._xml[rpm.id]


def describe(rpm: Rpm) -> Any:
    """The createrepo_c package of a binary RPM."""
    source, binary = rpm.build.source, rpm.binary
    if binary is None:
        raise ValueError(f"{rpm.nvra} is a source RPM; Koji's repositories hold binaries")
    package = createrepo_c.Package()
    package.name, package.arch, package.version, package.release = rpm.name, rpm.arch, rpm.version, source.release
    package.epoch = str(source.epoch or 0)
    package.summary = binary.summary or f"Sample package {binary.name}"
    package.description = f"Sample package {binary.name}."
    package.url, package.rpm_license = f"https://src.example.org/rpms/{source.name}", "MIT"
    package.rpm_sourcerpm, package.rpm_buildhost = source.srpm, "builder1"
    package.checksum_type, package.pkgId = "sha256", digest(rpm.nvra, rpm.buildtime)
    package.time_file = package.time_build = rpm.buildtime
    package.size_package = package.size_installed = package.size_archive = int(package.pkgId[:4], 16)
    path = koji.PathInfo(topdir="toplink")
    package.location_href = f"{path.build(nvr_parts(rpm))}/{path.rpm(rpm_parts(rpm))}"
    package.requires = [_dep(dep) for dep in parse_deps(binary.requires)]
    package.provides = [_dep(dep) for dep in binary_provides(source, binary, rpm.arch)]
    package.conflicts = [_dep(dep) for dep in parse_deps(binary.conflicts)]
    package.obsoletes = [_dep(dep) for dep in parse_deps(binary.obsoletes)]
    package.recommends = [_dep(dep) for dep in parse_deps(binary.recommends)]
    package.files = [("", *_split(path)) for path in sorted(binary.files)]
    return package


def nvr_parts(rpm: Rpm) -> dict[str, Any]:
    source = rpm.build.source
    return {"name": source.name, "version": source.version, "release": source.release, "volume_name": "DEFAULT"}


def rpm_parts(rpm: Rpm) -> dict[str, Any]:
    return {"name": rpm.name, "version": rpm.version, "release": rpm.build.source.release, "arch": rpm.arch}


def _split(path: str) -> tuple[str, str]:
    directory, _, name = path.rpartition("/")
    return f"{directory}/", name


def _dep(dep: Dep) -> tuple[Any, ...]:
    """name, flags, epoch, version, release, pre."""
    epoch, version, release = None, None, None
    if dep.flags:
        evr = dep.version
        epoch, evr = evr.split(":", 1) if ":" in evr else ("0", evr)
        version, _, release = evr.partition("-")
    return dep.name, _COMPARISONS.get(dep.flags), epoch, version, release or None, False


def write_extras(directory: Path, info: dict[str, Any], members: Iterable[str]) -> None:
    """repo.json and the build group as comps, beside the architectures."""
    (directory / "repo.json").write_text(json.dumps(info, indent=2))
    (directory / "groups").mkdir()
    packages = "".join(f"      <packagereq type='mandatory'>{name}</packagereq>\n" for name in members)
    (directory / "groups" / "comps.xml").write_text(
        "<?xml version='1.0' encoding='UTF-8'?>\n<comps>\n  <group>\n    <id>build</id>\n    <name>build</name>\n"
        f"    <packagelist>\n{packages}    </packagelist>\n  </group>\n</comps>\n"
    )
