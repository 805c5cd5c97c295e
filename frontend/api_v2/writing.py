"""What a token's person may change: the same as on the pages, with the same rights, limits and audit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from flask import url_for
from pydantic import Field
from sqlalchemy.orm import Session

from frontend import context
from frontend.api_v2 import lookup
from frontend.api_v2.auth import actor, bearer, edit
from frontend.api_v2.declare import change
from frontend.api_v2.problems import Conflict, InvalidRequest
from frontend.api_v2.values import WHOLE, Answer, Body, Name
from koschei import groups, packages, requests, rights
from koschei.errors import InvalidInputError, NotAllowedError, NotFoundError
from koschei.groups import GroupEdit
from koschei.model import PackageGroup
from koschei.packages import Edit
from koschei.tokens import Scope

PACKAGES, GROUPS = "Packages", "Groups"
PLACE = "/packages/<name>/<collection>"
MOST_MEMBERS = 20_000


class Done(Answer):
    """What was done; empty when it was like that already."""

    messages: list[str]


class PriorityBody(Body):
    """A wish for a package's manual priority."""

    manual: Annotated[
        int, Field(ge=0, le=2**31 - 1, description="0 for none; the build that it causes resets it."), WHOLE
    ]


@change("PUT", f"{PLACE}/priority", tag=PACKAGES, scope=Scope.PACKAGES, body=PriorityBody, answer=Done, errors=(404,))
def set_priority(name: str, collection: str, body: PriorityBody) -> Done:
    """Set the manual priority of a package.

    Anybody may, up to `frontend.highest_manual_priority` (10000), unless it is higher already.
    """
    return _edit(name, collection, Edit(manual_priority=body.manual))


class TrackingBody(Body):
    """A wish that a package be tested, or not any more."""

    tracked: bool


@change("PUT", f"{PLACE}/tracking", tag=PACKAGES, scope=Scope.PACKAGES, body=TrackingBody, answer=Done, errors=(404,))
def set_tracking(name: str, collection: str, body: TrackingBody) -> Done:
    """Have a package tested, or not any more.

    Anybody may have one tested; only its maintainers may end that.
    """
    return _edit(name, collection, Edit(tracked=body.tracked))


def _edit(name: str, collection: str, wish: Edit) -> Done:
    package_id, config, now = lookup.package(name, collection), context.frontend().config, context.now()
    arches = config.koji_config.build_arches
    with edit() as session:
        rights.check_package_edit(session, bearer().person, package_id, wish, config)
        return Done(messages=packages.edit(session, actor(), package_id, wish, known_arches=arches, now=now))


@change("POST", f"{PLACE}/resolve", tag=PACKAGES, scope=Scope.PACKAGES, answer=Done, status=202, errors=(404, 409))
def resolve(name: str, collection: str) -> Done:
    """Have the build dependencies of a package looked at now.

    The answer comes within a minute or so: see its resolutions. 409 when nothing would be looked at, with the reason.
    """
    package_id = lookup.package(name, collection)
    with edit() as session, conflicts():
        asked = requests.resolve(session, actor(), requests.packages_of(session, [package_id]))
    return Done(messages=list(asked.messages))


@change("POST", f"{PLACE}/rebuild", tag=PACKAGES, scope=Scope.PACKAGES, answer=Done, status=202, errors=(404, 409))
def rebuild(name: str, collection: str) -> Done:
    """Have a package built as soon as Koji's load and the limits allow.

    409 with the reason when it cannot be built now, when its static priority puts it off too far, or when it is among
    the first already.
    """
    package_id, config, now = lookup.package(name, collection), context.frontend().config, context.now()
    with edit() as session, conflicts():
        message = requests.rebuild(session, actor(), bearer().person, package_id, config, now)
    return Done(messages=[message])


@contextmanager
def conflicts() -> Iterator[None]:
    """The request makes sense, but not now."""
    try:
        yield
    except InvalidInputError as error:
        raise Conflict(str(error)) from error


class NewGroup(Body):
    """A group to be made in one's own namespace."""

    name: Name
    packages: Annotated[list[Name], Field(min_length=1, max_length=MOST_MEMBERS)]
    maintainers: Annotated[
        list[Name],
        Field(max_length=100, description="Others who may change it, besides oneself.", default_factory=list),
    ]


class MadeGroup(Done):
    """The group that was made."""

    name: str = Field(description="Its full name.")
    location: str = Field(description="Its address; also in the header Location.")


@change(
    "POST", "/groups", tag=GROUPS, scope=Scope.GROUPS, body=NewGroup, answer=MadeGroup, status=201, errors=(404, 409)
)
def make_group(body: NewGroup) -> MadeGroup:
    """Make a group in one's own namespace.

    404 for packages that do not exist, 409 for a name that is taken.
    """
    user = bearer().user
    full_name = f"{user}/{body.name}"
    with edit() as session, wrong_names():
        messages = groups.create(session, actor(), full_name, body.packages, {user, *body.maintainers})
    location = url_for("api_v2.users_group", namespace=user, name=body.name)
    return MadeGroup(messages=messages, name=full_name, location=location)


class GroupBody(Body):
    """What a group is to be like; what is left out or null stays."""

    packages: Annotated[
        list[Name] | None, Field(min_length=1, max_length=MOST_MEMBERS, description="All its packages, from now on.")
    ] = None
    maintainers: Annotated[
        list[Name] | None, Field(min_length=1, max_length=100, description="All who may change it, from now on.")
    ] = None
    name: Annotated[Name | None, Field(description="Another name; its namespace stays.")] = None


@change("PUT", "/groups/<name>", tag=GROUPS, scope=Scope.GROUPS, body=GroupBody, answer=Done, errors=(404, 409))
def change_global_group(name: str, body: GroupBody) -> Done:
    """Change a global group that one maintains."""
    return _change_group(name, body)


@change(
    "PUT", "/groups/<namespace>/<name>", tag=GROUPS, scope=Scope.GROUPS, body=GroupBody, answer=Done, errors=(404, 409)
)
def change_users_group(namespace: str, name: str, body: GroupBody) -> Done:
    """Change a group of a user that one maintains."""
    return _change_group(f"{namespace}/{name}", body)


def _change_group(full_name: str, body: GroupBody) -> Done:
    with edit() as session, wrong_names():
        _check_maintainer(session, full_name)
        wish = GroupEdit(name=body.name, packages=body.packages, maintainers=body.maintainers)
        return Done(messages=groups.edit(session, actor(), full_name, wish))


@change("DELETE", "/groups/<namespace>/<name>", tag=GROUPS, scope=Scope.GROUPS, status=204, errors=(404,))
def delete_group(namespace: str, name: str) -> None:
    """Delete a group of a user that one maintains; its packages stay. Global groups are the operators'."""
    full_name = f"{namespace}/{name}"
    with edit() as session:
        _check_maintainer(session, full_name)
        groups.remove(session, actor(), full_name)


def _check_maintainer(session: Session, full_name: str) -> PackageGroup:
    try:
        group = groups.find(session, full_name, lock=True)
    except NotFoundError:
        raise NotFoundError(f"There is no group {full_name}. It may have been renamed or deleted") from None
    if not rights.may_edit_group(session, group.id, bearer().person):
        raise NotAllowedError(f"Only its maintainers may change the group {full_name}")
    return group


@contextmanager
def wrong_names() -> Iterator[None]:
    """Names of the body that cannot be a group's are the body's fault."""
    try:
        yield
    except InvalidInputError as error:
        raise InvalidRequest.of("body", str(error)) from error
