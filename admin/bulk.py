"""What commands share that change things: asking before harm, trying without doing, choosing many packages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import BinaryIO

import click
from sqlalchemy.orm import Session

from admin.context import Admin
from admin.output import dry_run_is_on, say
from admin.progress import progress
from koschei import downloads, group_sources, groups, packages
from koschei.errors import InvalidInputError, NotAllowedError

FILE = click.File("rb")


def name_of(file: BinaryIO) -> str:
    """What messages call a file."""
    name = getattr(file, "name", None)
    return "standard input" if name in (None, "-", "<stdin>", 0) else str(name)


def names_in(file: BinaryIO) -> list[str]:
    """Names of packages in an opened file: separated by white space, or a JSON list. It may name none."""
    where = name_of(file)
    data = file.read(downloads.LARGEST + 1)
    if len(data) > downloads.LARGEST:
        raise InvalidInputError(f"{where} is longer than the {downloads.LARGEST} bytes that a list may have")
    return group_sources.parse_names(downloads.decode(data, where), where)


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
    dry_run_is_on()


def carry_out(
    admin: Admin,
    work: Callable[[Session], Iterable[str | None]],
    *,
    dry_run: bool = False,
    force: bool = False,
    ask: Callable[[Session], str | None] | None = None,
    title: str = "",
) -> None:
    """Most commands: ask if there is a question, do the work in one transaction, say what was done.

    `ask` returns the question; `force` and a dry run need no answer. `title`: what a progress bar says.
    """
    if ask is not None and not force and not dry_run:
        with admin.reading() as session:
            question = ask(session)
        if question is not None:
            confirm(question)
    with progress(title, counted=False) if title else nullcontext(), attempt(admin, dry_run=dry_run) as session:
        messages = list(work(session))
    say(messages)


def chosen(
    session: Session, admin: Admin, names: Iterable[str] = (), *, group: str | None = None, everything: bool = False
) -> Sequence[int]:
    """The ids of packages: those of these names, of a group, or all; where --collection says, or wherever they are."""
    collection = admin.find_collection(session)
    if everything:
        return packages.members(session, None, collection)
    if group is not None:
        return packages.members(session, groups.find(session, group).id, collection)
    return [package.id for package in packages.named(session, names, collection)]


def chosen_groups(session: Session, admin: Admin, names: Iterable[str]) -> Sequence[int]:
    """The ids of the packages in any of these groups."""
    return sorted({number for name in names for number in chosen(session, admin, group=name)})
