"""What changes something, in a person's name: one transaction, counted, audited, and told of on the next page.

Whoever shows a person's token spends the same changes: what a person must be able to do all the same is `uncounted`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flask import flash, redirect, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from frontend import access, context, people
from koschei import edit_limits
from koschei.audit import Actor
from koschei.errors import InvalidInputError, NotAllowedError, UserError
from koschei.model import Environment
from koschei.rights import Person


def actor() -> Actor:
    """The person who asks, for the audit log. Errors: NotAllowedError for nobody."""
    return Actor(Environment.FRONTEND, someone().name)


def someone() -> Person:
    """The person who asks. Errors: NotAllowedError for nobody."""
    person = people.person()
    if person is None:
        raise NotAllowedError("Log in first")
    return person


@contextmanager
def uncounted() -> Iterator[Session]:
    """A transaction that changes something: committed at the end of the block, undone when it raises."""
    with context.frontend().database.begin() as session:
        yield session


@contextmanager
def edit() -> Iterator[Session]:
    """The same for one of the person's changes of an hour.

    Errors: TooManyEditsError when the person has made too many changes lately.
    """
    with uncounted() as session:
        count(session)
        yield session


def count(session: Session, changes: int = 1) -> None:
    """Count so many changes of the person who asks. Errors: as koschei.edit_limits.spend."""
    person, per_hour = someone(), context.frontend().config.frontend.edits_per_hour
    if not person.admin:
        edit_limits.spend(session, person.id, per_hour, context.now(), changes)


def press(action: Callable[[Session], object], message: str, endpoint: str, **values: object) -> ResponseReturnValue:
    """Do what a button says; then its page again, with what was done or with why it cannot be done now."""
    try:
        with edit() as session:
            action(session)
    except InvalidInputError as error:
        return refused(error, endpoint, **values)
    return done(message, endpoint, **values)


def done(message: str, endpoint: str, **values: object) -> ResponseReturnValue:
    """Say what was done on the page to go on with."""
    flash(message, "success")
    return redirect(url_for(endpoint, **values), 303)  # type: ignore[arg-type]


def refused(error: UserError, endpoint: str, **values: object) -> ResponseReturnValue:
    """Say why nothing was done, on the page with the button."""
    flash(str(error), "danger")
    return redirect(url_for(endpoint, **values), 303)  # type: ignore[arg-type]


def back(address: str | None, endpoint: str, **values: object) -> ResponseReturnValue:
    """Go to this address, if it is one of ours, else to the endpoint."""
    return redirect(access.local(address) or url_for(endpoint, **values), 303)  # type: ignore[arg-type]
