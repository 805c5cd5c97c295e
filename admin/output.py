"""Printing what was done and what was found: as JSON for programs, in words for people."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import click

AS_JSON, DRY_RUN = "koschei.json", "koschei.dry_run"


def json_is_wanted() -> bool:
    """Whether the command that runs was told --json."""
    return bool(click.get_current_context().meta.get(AS_JSON))


def dry_run_is_on() -> None:
    """What is said from here on has not been done."""
    click.get_current_context().meta[DRY_RUN] = True
    click.echo("Only tried, nothing was changed. It would say:", err=True)


@contextmanager
def telling() -> Iterator[Callable[[str], None]]:
    """For work in steps: each message at once, or all of them at the end if JSON is wanted."""
    told: list[str] = []
    try:
        yield told.append if json_is_wanted() else click.echo
    finally:
        if json_is_wanted():
            _say_json(told)


def say(messages: Iterable[str | None]) -> None:
    """Print what was done; a command that found nothing to do says so."""
    said = [message for message in messages if message is not None]
    if json_is_wanted():
        _say_json(said)
        return
    for message in said:
        click.echo(message)
    if not said:
        click.echo("Nothing to change: it is like that already", err=True)


def _say_json(messages: list[str]) -> None:
    print_json({"messages": messages, "dry_run": bool(click.get_current_context().meta.get(DRY_RUN))})


def print_json(value: object) -> None:
    """Dataclasses become objects, times ISO 8601 in UTC, durations seconds."""
    click.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value.total_seconds() if isinstance(value, timedelta) else value


def duration(value: timedelta) -> str:
    """About how long, in at most two units: `3 d 4 h`, `12 min`, `5 s`."""
    seconds = max(0, round(value.total_seconds()))
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    for (name, size), (small, part) in itertools.pairwise(units):
        if seconds >= size:
            rest = seconds % size // part
            exact = rest and seconds < 10 * size
            return f"{seconds // size} {name}" + (f" {rest} {small}" if exact else "")
    return f"{seconds} s"


def ago(moment: datetime | None, now: datetime) -> str:
    """How long ago, or `never`."""
    return "never" if moment is None else f"{duration(now - moment)} ago"
