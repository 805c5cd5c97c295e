"""What commands about many things share: lists from files, asking before harm, and trying without doing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import click
from sqlalchemy.orm import Session

from admin.context import Admin
from koschei import group_sources
from koschei.errors import InvalidInputError, NotAllowedError

FILE = click.File("rb")


def names_in(file: BinaryIO) -> list[str]:
    """Names of packages in an opened file: separated by white space, or a JSON list."""
    where = getattr(file, "name", "the file")
    where = "standard input" if where in ("<stdin>", 0) else str(where)
    data = file.read(group_sources.LARGEST + 1)
    if len(data) > group_sources.LARGEST:
        raise InvalidInputError(f"{where} is longer than the {group_sources.LARGEST} bytes that a list may have")
    return group_sources.parse_names(group_sources.decode(data, where), where)


def confirm(question: str) -> None:
    """Ask at a terminal. Raises NotAllowedError when the answer is no, or when nobody is there to ask."""
    if not sys.stdin.isatty():
        raise NotAllowedError(f"{question} Nobody is there to be asked: say --force. Nothing was changed")
    if not click.confirm(question, err=True):
        raise NotAllowedError("Nothing was changed")


@contextmanager
def attempt(admin: Admin, *, dry_run: bool) -> Iterator[Session]:
    """The command's transaction; a dry run does all of it and takes it back."""
    if not dry_run:
        with admin.transaction() as session:
            yield session
        return
    with admin.database.begin() as session:
        yield session
        session.flush()
        session.rollback()
    click.echo("Only tried, nothing was changed. It would say:", err=True)
