"""Pages of lists: rows are read beside a cursor, one more than fit, so that it is known whether there are more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

Row = TypeVar("Row")


class Beside(Protocol):
    """A cursor: the row beside which a page begins, behind it or, with `back`, before it."""

    @property
    def back(self) -> bool:
        """Whether rows are read backwards."""


@dataclass(frozen=True)
class ByName:
    """The cursor of a list in which each row has a name of its own."""

    name: str
    back: bool = False


def cut(found: Sequence[Row], size: int, cursor: Beside | None) -> tuple[list[Row], bool, bool]:
    """The rows of a page in the order of the list, and whether there are any before and behind them.

    `found`: up to `size` + 1 rows in the order in which they were read, from the cursor on (None: from the first row).
    """
    more, rows = len(found) > size, list(found[:size])
    if cursor is not None and cursor.back:
        return rows[::-1], more, True
    return rows, cursor is not None, more
