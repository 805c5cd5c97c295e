"""Finds the files that /kojifiles serves: what lies below topdir, and nothing else."""

from __future__ import annotations

import email.utils
import mimetypes
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class File:
    data: bytes
    content_type: str
    modified: str


def find_file(topdir: Path, path: str) -> File | None:
    """The file at a URL path below topdir; None when it is not there, no file, or leads outside."""
    if "\0" in path:
        return None
    root = topdir.resolve()
    file = (root / path.lstrip("/")).resolve()
    if not file.is_relative_to(root):
        return None
    try:
        data = file.read_bytes()
        modified = email.utils.formatdate(file.stat().st_mtime, usegmt=True)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    kind = "text/plain" if file.suffix == ".log" else mimetypes.guess_type(file.name)[0]
    return File(data, kind or "application/octet-stream", modified)
