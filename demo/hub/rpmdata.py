"""RPM details derived from a `SourcePackage`: dependencies with their flags, headers, and which arches build what.

Flags, the `rpmlib(...)` requires of every SRPM and the header names are as a real hub answered.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import koji

from .values import Binary, SourcePackage

_OPERATORS = {"<": 2, ">": 4, "=": 8, "<=": 10, ">=": 12, "==": 8}
_RPMLIB_FLAGS = 16777226  # RPMSENSE_RPMLIB | LESS | EQUAL


@dataclass(frozen=True)
class Dep:
    """One dependency as in an RPM header: version is 'E:V-R' or empty, flags the comparison bits."""

    name: str
    version: str = ""
    flags: int = 0

    def __str__(self) -> str:
        operator = "".join(sign for sign, bit in (("<", 2), (">", 4), ("=", 8)) if self.flags & bit)
        return f"{self.name} {operator} {self.version}" if operator else self.name


def parse_dep(text: str) -> Dep:
    """'name', 'name >= 1:2-3' or a rich dependency in parentheses; anything else is a ValueError."""
    if text.startswith("("):
        return Dep(text)
    parts = text.split()
    if len(parts) == 1:
        return Dep(parts[0])
    if len(parts) == 3 and parts[1] in _OPERATORS:
        return Dep(parts[0], parts[2], _OPERATORS[parts[1]])
    raise ValueError(f"cannot read dependency {text!r}: write 'name' or 'name >= version'")


def parse_deps(texts: Iterable[str]) -> list[Dep]:
    return sorted((parse_dep(text) for text in texts), key=lambda dep: (dep.name, dep.version))


def srpm_requires(source: SourcePackage) -> list[Dep]:
    """BuildRequires with the rpmlib() ones that rpmbuild adds; sorted by name, as in a header."""
    deps = parse_deps(source.build_requires)
    deps += [
        Dep("rpmlib(CompressedFileNames)", "3.0.4-1", _RPMLIB_FLAGS),
        Dep("rpmlib(FileDigests)", "4.6.0-1", _RPMLIB_FLAGS),
    ]
    if any(dep.name.startswith("(") for dep in deps):
        deps.append(Dep("rpmlib(RichDependencies)", "4.12.0-1", _RPMLIB_FLAGS))
    return sorted(deps, key=lambda dep: (dep.name, dep.version))


def binary_evr(source: SourcePackage, binary: Binary) -> str:
    version = binary.version or source.version
    return f"{source.epoch}:{version}-{source.release}" if source.epoch else f"{version}-{source.release}"


def binary_provides(source: SourcePackage, binary: Binary, arch: str) -> list[Dep]:
    """The binary's provides, its own name among them (and name(arch) as rpmbuild adds it)."""
    own = [Dep(binary.name, binary_evr(source, binary), 8)]
    if arch != "noarch":
        isa = {"x86_64": "x86-64", "i686": "x86-32", "aarch64": "aarch-64", "ppc64le": "ppc-64", "s390x": "s390-64"}
        own.append(Dep(f"{binary.name}({isa.get(arch, arch)})", binary_evr(source, binary), 8))
    return sorted(own + parse_deps(binary.provides), key=lambda dep: (dep.name, dep.version))


def build_arches(source: SourcePackage, tag_arches: Iterable[str]) -> list[str]:
    """The arches a build gets, by kojid's rules; empty when none fits."""
    tag_arches = list(tag_arches)
    arches = list(source.build_archs) or list(tag_arches)
    if source.exclusive_arch:
        arches = [arch for arch in arches if arch in source.exclusive_arch]
    arches = [arch for arch in arches if arch not in source.exclude_arch]
    named = source.build_archs + source.exclusive_arch
    if "noarch" in named and "noarch" not in source.exclude_arch:
        arches.append("noarch")
    canonical = {koji.canonArch(arch) for arch in tag_arches}
    return list(dict.fromkeys(arch for arch in arches if arch == "noarch" or koji.canonArch(arch) in canonical))


def digest(*parts: object) -> str:
    """A stable stand-in for checksums and sizes of RPMs that do not exist as files."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


def header(source: SourcePackage, binary: Binary | None, arch: str, buildtime: int) -> dict[str, Any]:
    """The RPM header by upper-case tag name; of the SRPM when `binary` is None."""
    if binary is None:
        name, version, files = source.name, source.version, [f"{source.name}.spec"]
        head = {
            "ARCH": "noarch",
            "SOURCERPM": None,
            "BUILDARCHS": list(source.build_archs),
            "EXCLUSIVEARCH": list(source.exclusive_arch),
            "EXCLUDEARCH": list(source.exclude_arch),
            "SOURCEPACKAGE": 1,
            "SPEC": f"Name: {source.name}\nVersion: {source.version}\n",
        }
        summary = source.summary
    else:
        name, version, files = binary.name, binary.version or source.version, list(binary.files)
        head = {"ARCH": arch, "SOURCERPM": source.srpm, "BUILDARCHS": [], "EXCLUSIVEARCH": [], "EXCLUDEARCH": []}
        summary = binary.summary
    unique = digest(source.nvr, name, arch)
    return {
        **head,
        **_build_headers(unique, source, buildtime),
        **_file_headers(files, buildtime),
        **_dependency_headers(source, binary, arch),
        "NAME": name,
        "VERSION": version,
        "RELEASE": source.release,
        "EPOCH": source.epoch,
        "SUMMARY": summary or f"Sample package {name}",
        "DESCRIPTION": f"Sample package {name}.",
    }


def _build_headers(unique: str, source: SourcePackage, buildtime: int) -> dict[str, Any]:
    """The tags that say how, when and by whom the RPM was made."""
    return {
        "HEADERI18NTABLE": ["C"],
        "SIGSIZE": 2454,
        "SIGMD5": koji.xmlrpcplus.xmlrpc_client.Binary(bytes.fromhex(unique[:32])),
        "SHA1HEADER": unique[:40],
        "SHA256HEADER": unique,
        "BUILDTIME": buildtime,
        "BUILDHOST": "builder1",
        "COOKIE": f"builder1 {buildtime}",
        "SIZE": 457,
        "LONGSIZE": 457,
        "ARCHIVESIZE": 704,
        "LICENSE": "MIT",
        "GROUP": "Unspecified",
        "OS": "linux",
        "PAYLOADFORMAT": "cpio",
        "PAYLOADCOMPRESSOR": "zstd",
        "PAYLOADFLAGS": "19",
        "PAYLOADDIGEST": [unique],
        "PAYLOADDIGESTALGO": 8,
        "PAYLOADDIGESTALT": [unique],
        "RPMVERSION": "4.20.1",
        "ENCODING": "utf-8",
        "FILEDIGESTALGO": 8,
        "CHANGELOGTIME": [buildtime],
        "CHANGELOGNAME": [f"Packager <packager@example.org> - {source.evr}"],
        "CHANGELOGTEXT": ["- New version"],
    }


def _dependency_headers(source: SourcePackage, binary: Binary | None, arch: str) -> dict[str, Any]:
    """NAME, VERSION, FLAGS and NEVRS of each kind of dependency; the plural is another word for NAME."""
    if binary is None:
        kinds = {"PROVIDE": [Dep(source.name, source.evr, 8)], "REQUIRE": srpm_requires(source)}
    else:
        kinds = {
            "PROVIDE": binary_provides(source, binary, arch),
            "REQUIRE": parse_deps(binary.requires),
            "CONFLICT": parse_deps(binary.conflicts),
            "OBSOLETE": parse_deps(binary.obsoletes),
            "RECOMMEND": parse_deps(binary.recommends),
        }
    head: dict[str, Any] = {}
    for kind in ("PROVIDE", "REQUIRE", "CONFLICT", "OBSOLETE", "RECOMMEND"):
        deps = kinds.get(kind, [])
        head[f"{kind}S"] = head[f"{kind}NAME"] = [dep.name for dep in deps]
        head[f"{kind}VERSION"] = [dep.version for dep in deps]
        head[f"{kind}FLAGS"] = [dep.flags for dep in deps]
        head[f"{kind}NEVRS"] = [str(dep) for dep in deps]
    return head


def _file_headers(paths: list[str], mtime: int) -> dict[str, Any]:
    """The tags that hold one value for each file; directories are listed once."""
    directories = list(dict.fromkeys(path[: path.rfind("/") + 1] for path in paths))
    values = {
        "FILESIZES": 457,
        "FILEMODES": 0o100644,
        "FILERDEVS": 0,
        "FILEMTIMES": mtime,
        "FILELINKTOS": "",
        "FILEFLAGS": 0,
        "FILEUSERNAME": "root",
        "FILEGROUPNAME": "root",
        "FILEVERIFYFLAGS": 2**32 - 1,
        "FILEDEVICES": 1,
        "FILELANGS": "",
    }
    return {key: [value] * len(paths) for key, value in values.items()} | {
        "FILEMD5S": [digest(path) for path in paths],
        "FILEINODES": list(range(1, len(paths) + 1)),
        "BASENAMES": [path.rsplit("/", 1)[-1] for path in paths],
        "DIRNAMES": directories,
        "DIRINDEXES": [directories.index(path[: path.rfind("/") + 1]) for path in paths],
    }


# What a header query without a list of names leaves out: synonyms, and tags the RPM does not have.
_SYNONYMS = re.compile(r"(PROVIDE|REQUIRE|CONFLICT|OBSOLETE|RECOMMEND)(NAME|NEVRS)|LONGSIZE")


def all_headers(head: dict[str, Any]) -> dict[str, Any]:
    """What `getRPMHeaders` answers when no header is asked for by name."""
    return {key: value for key, value in head.items() if not _SYNONYMS.fullmatch(key) and value not in (None, [])}
