"""filelists.xml: who owns a file. It is ten times as large as all the rest, so only what was asked for is kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from koschei.depsolve.primary import checked_chunks
from koschei.depsolve.repomd import MetadataFile, forbid_doctype
from koschei.errors import RepositoryBroken


def find_owners(packed: Path, metadata: MetadataFile, paths: Collection[str]) -> dict[str, list[str]]:
    """The checksums (`pkgid`) of the packages that own each of `paths`, in the order of the list; [] for none."""
    owners: dict[str, list[str]] = {path: [] for path in paths}
    package = current = ""

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal package, current
        finish()
        current = ""
        if name == "package":
            package = attributes.get("pkgid", "")

    def text(piece: str) -> None:
        nonlocal current
        current += piece

    def finish() -> None:
        path = current.strip()
        if path in owners and package not in owners[path]:
            owners[path].append(package)

    # Millions of files: no handler for the end of an element, the next one's start tells as well.
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.CharacterDataHandler = text
    forbid_doctype(parser, "filelists.xml")
    try:
        for chunk in checked_chunks(packed, metadata):
            parser.Parse(chunk, False)
        parser.Parse(b"", True)
        finish()
    except expat.ExpatError as error:
        raise RepositoryBroken(f"{metadata.href} is not XML: {error}") from error
    return owners


def small_filelists(owners: Mapping[str, Iterable[str]]) -> str:
    """A filelists.xml that says just that."""
    files: dict[str, list[str]] = {}
    for path in sorted(owners):
        for package in owners[path]:
            files.setdefault(package, []).append(path)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<filelists xmlns="http://linux.duke.edu/metadata/filelists">']
    for package in sorted(files):
        lines.append(f'<package pkgid={quoteattr(package)} name="" arch="">')
        lines.extend(f"<file>{escape(path)}</file>" for path in files[package])
        lines.append("</package>")
    return "\n".join([*lines, "</filelists>\n"])
