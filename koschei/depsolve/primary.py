"""primary.xml taken in: checked before a solver library sees it, and put into an order of our own.

Solvers break ties by the order of packages. Sorted, equal repositories give equal answers, whatever wrote them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.parsers import expat

import zstandard

from koschei.depsolve.buildrequires import MAX_CLAUSES, MalformedError, TooComplexError, clauses, leaves, parse
from koschei.depsolve.compression import plain_chunks
from koschei.depsolve.repomd import MetadataFile, forbid_doctype, new_hash
from koschei.errors import RepositoryBroken

# Malformed rich dependencies are left to the solver, which drops them; very long ones are not left to anything.
MAX_MALFORMED = 2000
TEXT_ELEMENTS = ("name", "arch", "checksum")
# Dependencies on files that may have to be looked up in file lists.
FILE_USERS = ("rpm:requires", "rpm:conflicts", "rpm:obsoletes", "rpm:recommends", "rpm:supplements")
NEGATIVE = ("rpm:conflicts", "rpm:obsoletes")

SortKey = tuple[str, str, str, str, str, str]


class PrimaryReader:
    """Reads primary.xml once: where each package is in it, and which files packages depend on."""

    def __init__(self) -> None:
        self.packages: list[tuple[SortKey, int, int]] = []
        self.file_dependencies: set[str] = set()
        self.first = -1
        self.section = ""
        self.package_at = -1
        self.fields: dict[str, str] = {}
        self.version: dict[str, str] = {}
        self.root = ""
        self.field = ""
        self.seen_rich: set[tuple[str, bool]] = set()
        parser = self.parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.XmlDeclHandler = self.declaration
        forbid_doctype(parser, "primary.xml")

    def declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "utf8", "us-ascii"):
            raise RepositoryBroken(f"primary.xml is written in {encoding}, not in UTF-8")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        # Called millions of times: the commonest first.
        if name == "rpm:entry":
            text = attributes.get("name", "")
            if text[:1] in ("/", "(") and self.section in FILE_USERS:
                self.dependency(text)
        elif name.startswith("rpm:"):
            self.section = name
        elif name == "package":
            self.start_package(attributes)
        elif self.package_at >= 0:
            if name in TEXT_ELEMENTS and name not in self.fields:
                self.field = name
                self.fields[name] = ""
                self.parser.CharacterDataHandler = self.text
            elif name == "version":
                self.version = attributes
        else:
            self.root = self.root or name

    def start_package(self, attributes: dict[str, str]) -> None:
        if self.package_at >= 0:
            raise RepositoryBroken("primary.xml has a package inside a package")
        if attributes.get("type") != "rpm":
            raise RepositoryBroken(f"primary.xml has a package of type {attributes.get('type')!r}; only rpm is known")
        self.package_at = self.parser.CurrentByteIndex
        if self.first < 0:
            self.first = self.package_at
        self.fields, self.version, self.section = {}, {}, ""

    def text(self, text: str) -> None:
        self.fields[self.field] += text

    def end(self, name: str) -> None:
        if name == self.field:
            self.field = ""
            self.parser.CharacterDataHandler = None
        elif name == "package":
            fields, version = self.fields, self.version
            if not (fields.get("name") and fields.get("arch") and version.get("ver")):
                raise RepositoryBroken(
                    f"primary.xml has a package without name, architecture or version (number {len(self.packages) + 1})"
                )
            key = (
                fields["name"],
                fields["arch"],
                version.get("epoch", "0"),
                version["ver"],
                version.get("rel", ""),
                fields.get("checksum", ""),
            )
            self.packages.append((key, self.package_at, self.parser.CurrentByteIndex))
            self.package_at = -1

    def dependency(self, text: str) -> None:
        if text[0] == "/":
            self.file_dependencies.add(text)
            return
        negative = self.section in NEGATIVE
        if (text, negative) in self.seen_rich:
            return
        self.seen_rich.add((text, negative))
        try:
            requirement = parse(text)
        except TooComplexError as error:
            raise RepositoryBroken(f"primary.xml has a dependency that is a trap: {text[:100]}...: {error}") from error
        except MalformedError as error:
            if len(text) > MAX_MALFORMED:
                raise RepositoryBroken(f"primary.xml has a malformed dependency {text[:100]}...: {error}") from error
            return
        if negative and max(clauses(requirement)) > MAX_CLAUSES:
            raise RepositoryBroken(f"primary.xml has a dependency that stands for too many combinations: {text[:100]}")
        self.file_dependencies.update(leaf.name for leaf in leaves(requirement) if leaf.name.startswith("/"))


def take_in_primary(packed: Path, metadata: MetadataFile, sorted_path: Path, scratch: Path) -> frozenset[str]:
    """Check the `packed` primary and write it, sorted and packed with zstd, to `sorted_path`.

    `scratch` is a file that may hold it unpacked meanwhile. Returns the files that packages depend on.
    """
    reader = PrimaryReader()
    try:
        with scratch.open("wb") as out:
            for chunk in checked_chunks(packed, metadata):
                if b"\0" in chunk:
                    raise RepositoryBroken(f"{metadata.href} is not written in UTF-8")
                reader.parser.Parse(chunk, False)
                out.write(chunk)
        reader.parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise RepositoryBroken(f"{metadata.href} is not XML: {error}") from error
    if reader.root != "metadata":
        raise RepositoryBroken(f"{metadata.href} is something else: its root element is {reader.root!r}")
    reader.packages.sort()
    compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)
    with sorted_path.open("wb") as out, compressor.stream_writer(out) as writer:
        for piece in sorted_pieces(reader, scratch):
            writer.write(piece)
    scratch.unlink()
    return frozenset(reader.file_dependencies)


def sorted_pieces(reader: PrimaryReader, plain: Path) -> Iterator[bytes]:
    descriptor = os.open(plain, os.O_RDONLY)
    try:
        if not reader.packages:
            yield os.pread(descriptor, plain.stat().st_size, 0)
            return
        yield os.pread(descriptor, reader.first, 0)
        for _, start, end in reader.packages:
            yield os.pread(descriptor, end - start, start)
            yield b"</package>\n"
        yield b"</metadata>\n"
    finally:
        os.close(descriptor)


def checked_chunks(packed: Path, metadata: MetadataFile) -> Iterator[bytes]:
    """The content of a metadata file; RepositoryBroken, at its end at the latest, when repomd.xml says otherwise."""
    digest: Any = new_hash(metadata.open_checksum) if metadata.open_checksum else None
    size = 0
    for chunk in plain_chunks(packed, metadata.max_open_size):
        size += len(chunk)
        if digest is not None:
            digest.update(chunk)
        yield chunk
    metadata.check_open(size, digest.hexdigest() if digest is not None else None)
