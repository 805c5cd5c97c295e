"""Tables for people: as wide as the terminal, or wide enough to be searched when piped."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 160


def console() -> Console:
    """Where tables go: standard output, with nothing in texts taken for markup."""
    made = Console(file=sys.stdout, markup=False, highlight=False)
    if not made.is_terminal:
        made.width = PIPE_WIDTH
    return made


def print_table(headings: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print rows under their headings; None is an empty cell, and a Text keeps its colour."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text("" if cell is None else str(cell)) for cell in row))
    console().print(table)
