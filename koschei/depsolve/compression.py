"""Metadata files as streams of plain bytes, whatever they are packed with, and never more than allowed."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard

from koschei.errors import RepositoryBroken

CHUNK = 1 << 20
# What createrepo writes stays far below; a file that wants more is an attack on our memory.
WINDOW = 1 << 27
DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError, zstandard.ZstdError, ValueError)


def plain_chunks(path: Path, limit: int) -> Iterator[bytes]:
    """The content of `path` unpacked (gzip, xz, zstd, bzip2 or plain, told by its first bytes), chunk by chunk.

    RepositoryBroken when it is damaged or yields more than `limit` bytes.
    """
    total = 0
    with path.open("rb") as packed:
        magic = packed.read(6)
        packed.seek(0)
        try:
            for chunk in unpack(packed, magic):
                total += len(chunk)
                if total > limit:
                    raise RepositoryBroken(f"{path.name} unpacks to more than the {limit} bytes it may have")
                yield chunk
        except DAMAGED as error:
            raise RepositoryBroken(f"{path.name} cannot be unpacked: {error}") from error


def unpack(packed: BinaryIO, magic: bytes) -> Iterator[bytes]:
    if magic.startswith(b"\xfd7zXZ\x00"):
        return unpack_xz(packed)
    if magic.startswith(b"\x1f\x8b"):
        read: Callable[[int], bytes] = gzip.GzipFile(fileobj=packed).read
    elif magic.startswith(b"BZh"):
        read = bz2.BZ2File(packed).read
    elif magic.startswith(b"\x28\xb5\x2f\xfd"):
        unpacker = zstandard.ZstdDecompressor(max_window_size=WINDOW)
        read = unpacker.stream_reader(packed, read_across_frames=True).read
    else:
        read = packed.read
    return iter(lambda: read(CHUNK), b"")


def unpack_xz(packed: BinaryIO) -> Iterator[bytes]:
    """lzma.LZMAFile knows no memory limit, its decompressor does."""
    unpacker = lzma.LZMADecompressor(memlimit=2 * WINDOW)
    while not unpacker.eof:
        data = packed.read(CHUNK) if unpacker.needs_input else b""
        if not data and unpacker.needs_input:
            raise EOFError("it ends too early")
        if chunk := unpacker.decompress(data, CHUNK):
            yield chunk
