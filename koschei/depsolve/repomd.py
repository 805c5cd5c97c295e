"""repomd.xml: which metadata files a repository has, and what they must look like."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from koschei.depsolve.compression import plain_chunks
from koschei.errors import RepositoryBroken

# Several times what the largest distributions have.
MAX_OPEN_SIZE = 8 << 30
MAX_SIZE = 2 << 30
HASHES = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
# createrepo called SHA-1 "sha" once.
ALIASES = {"sha": "sha1"}
SAFE_HREF = re.compile(r"[A-Za-z0-9_.+~-]+(/[A-Za-z0-9_.+~-]+)*")


@dataclass(frozen=True, slots=True)
class Checksum:
    """A digest and the hash that makes it."""

    algorithm: str
    digest: str


@dataclass(frozen=True, slots=True)
class MetadataFile:
    """One `data` element: where the file is below the repository, its checksums, and its sizes in bytes if told."""

    href: str
    checksum: Checksum
    open_checksum: Checksum | None
    size: int | None
    open_size: int | None

    @property
    def max_size(self) -> int:
        return MAX_SIZE if self.size is None else self.size

    @property
    def max_open_size(self) -> int:
        return MAX_OPEN_SIZE if self.open_size is None else min(self.open_size, MAX_OPEN_SIZE)

    def check(self, path: Path) -> None:
        """RepositoryBroken unless the file at `path` is as repomd.xml says, packed."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            raise RepositoryBroken(f"{self.href} has {size} bytes, repomd.xml says {self.size}")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: new_hash(self.checksum)).hexdigest()
        if digest != self.checksum.digest:
            raise RepositoryBroken(f"{self.href} has {self.checksum.algorithm} {digest}, not {self.checksum.digest}")

    def check_open(self, size: int, digest: str | None) -> None:
        """The same for its content: its size and the digest of `open_checksum`'s kind."""
        if self.open_size is not None and size != self.open_size:
            raise RepositoryBroken(f"{self.href} unpacks to {size} bytes, repomd.xml says {self.open_size}")
        if self.open_checksum is not None and digest != self.open_checksum.digest:
            raise RepositoryBroken(
                f"{self.href} unpacks to something with {self.open_checksum.algorithm} {digest}, "
                f"not {self.open_checksum.digest}"
            )


def new_hash(checksum: Checksum) -> Any:
    return hashlib.new(checksum.algorithm, usedforsecurity=False)


def forbid_doctype(parser: expat.XMLParserType, name: str) -> None:
    """Entities are what XML bombs are made of, and no metadata has any."""

    def refuse(*args: Any) -> None:
        raise RepositoryBroken(f"{name} has a document type, which metadata never has")

    parser.StartDoctypeDeclHandler = refuse


@dataclass
class Element:
    """A `data` element while it is read."""

    type: str
    texts: dict[str, str] = field(default_factory=dict)
    algorithms: dict[str, str] = field(default_factory=dict)
    href: str = ""


class RepomdParser:
    """Fills `elements`, by type; the first of a type counts."""

    def __init__(self) -> None:
        self.elements: dict[str, Element] = {}
        self.current: Element | None = None
        self.open_tag = ""
        self.root = ""
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.text
        forbid_doctype(self.parser, "repomd.xml")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.root = self.root or name
        self.open_tag = name
        if name == "data":
            self.current = Element(attributes.get("type", ""))
        elif self.current is not None:
            if name == "location":
                self.current.href = attributes.get("href", "")
            if "type" in attributes:
                self.current.algorithms[name] = attributes["type"]

    def text(self, text: str) -> None:
        if self.current is not None and self.open_tag:
            self.current.texts[self.open_tag] = self.current.texts.get(self.open_tag, "") + text

    def end(self, name: str) -> None:
        self.open_tag = ""
        if name == "data" and self.current is not None:
            self.elements.setdefault(self.current.type, self.current)
            self.current = None


def parse_repomd(path: Path) -> Mapping[str, MetadataFile]:
    """The metadata files by type (`primary`, `filelists`, ...); RepositoryBroken when it is none or misses its primary.

    A data element of no interest may be as odd as it likes.
    """
    reader = RepomdParser()
    try:
        for chunk in plain_chunks(path, 16 << 20):
            reader.parser.Parse(chunk, False)
        reader.parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise RepositoryBroken(f"repomd.xml is not XML: {error}") from error
    if reader.root != "repomd":
        raise RepositoryBroken(f"repomd.xml is something else: its root element is {reader.root!r}")
    used = [element for kind, element in reader.elements.items() if kind in ("primary", "filelists")]
    files = {element.type: metadata_file(element) for element in used}
    if "primary" not in files:
        raise RepositoryBroken("repomd.xml lists no primary metadata")
    return files


def metadata_file(element: Element) -> MetadataFile:
    where = f"repomd.xml, data type {element.type!r}"
    # The href becomes a URL and, in a folder, a path: it must stay below the repository.
    if not SAFE_HREF.fullmatch(element.href) or ".." in element.href.split("/"):
        raise RepositoryBroken(f"{where}: {element.href!r} is not a place below the repository")
    checksum = read_checksum(element, "checksum", where)
    if checksum is None:
        raise RepositoryBroken(f"{where} has no checksum")
    return MetadataFile(
        href=element.href,
        checksum=checksum,
        open_checksum=read_checksum(element, "open-checksum", where),
        size=read_size(element, "size", where),
        open_size=read_size(element, "open-size", where),
    )


def read_checksum(element: Element, tag: str, where: str) -> Checksum | None:
    digest = element.texts.get(tag, "").strip().lower()
    if not digest:
        return None
    algorithm = element.algorithms.get(tag, "").lower()
    algorithm = ALIASES.get(algorithm, algorithm)
    if algorithm not in HASHES:
        raise RepositoryBroken(f"{where}: {tag} of unknown type {algorithm!r}")
    return Checksum(algorithm, digest)


def read_size(element: Element, tag: str, where: str) -> int | None:
    text = element.texts.get(tag, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise RepositoryBroken(f"{where}: {tag} {text!r} is not a number of bytes")
    return int(text)
