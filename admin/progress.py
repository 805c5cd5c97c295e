"""How far long work is: a line on standard error that goes when the work is done, and only at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn

Show = Callable[..., None]


@contextmanager
def progress(text: str = "", total: int | None = None, *, counted: bool = True) -> Iterator[Show]:
    """A bar. Call what it gives with `text`, `done` and `total`, whichever is new.

    Without a total it moves to and fro. `counted`: whether there are numbers to show.
    """
    console = Console(file=sys.stderr)
    columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False), BarColumn()]
    columns += [MofNCompleteColumn()] if counted else []
    with Progress(
        *columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(text, total=total)

        def show(text: str | None = None, done: int | None = None, total: int | None = None) -> None:
            bar.update(task, description=text, completed=done, total=total)

        yield show
