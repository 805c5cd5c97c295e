"""Rows into tables by COPY, as fast as they can be made."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

NULL = "\\N"
_SPECIAL = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def value(item: object) -> str:
    """A value as COPY reads it."""
    match item:
        case None:
            return NULL
        case True:
            return "t"
        case False:
            return "f"
        case bytes():
            return "\\\\x" + item.hex()
        case datetime():
            return item.astimezone(UTC).isoformat()
        case str():
            return item.translate(_SPECIAL)
        case _:
            return str(item)


def moment(seconds: float) -> str:
    """A moment in seconds since 1970, as COPY reads it."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()


def row(*items: object) -> str:
    """A line of values."""
    return "\t".join([value(item) for item in items])


class _Lines(io.RawIOBase):
    """Lines as a file that is read in large pieces."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._left = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, length = [self._left], len(self._left)
        while length < size:
            line = next(self._lines, None)
            if line is None:
                break
            parts.append(line.encode() + b"\n")
            length += len(parts[-1])
        whole = b"".join(parts)
        self._left = whole[size:]
        return whole[:size]


def copy(connection: Connection, table: str, columns: str, lines: Iterable[str]) -> None:
    """Put lines made by `row` into a table; `columns` are separated by blanks."""
    names = ", ".join(f'"{name}"' for name in columns.split())
    driver: Any = connection.connection
    with driver.cursor() as cursor:
        cursor.copy_expert(f'COPY "{table}" ({names}) FROM STDIN', _Lines(iter(lines)), 1 << 18)
