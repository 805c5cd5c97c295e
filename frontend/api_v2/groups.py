"""Groups of packages, and what people maintain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from frontend import context
from frontend.api_v2 import cursors, lookup, packages
from frontend.api_v2.declare import get
from frontend.api_v2.values import Answer, GroupName, Name, Page, Paged, Pattern, Query
from koschei.model import PackageGroup
from koschei.queries import groups as queries
from koschei.queries.api_packages import Wanted
from koschei.queries.groups import Whose
from koschei.queries.paging import ByName
from koschei.rules.states import PackageState

TAG = "Groups"
MOST_MEMBERS = 5000


class GroupQuery(Paged):
    """Which groups are listed."""

    of: Annotated[Whose, Field(description="Global ones, those of users, or all.")] = Whose.ALL
    contains: Annotated[
        Pattern | None, Field(description="Only those whose full name contains this; `*` is anything.")
    ] = None


class GroupLine(Answer):
    """A group of packages."""

    name: str = Field(description="Its full name: `namespace/name`, or `name` of a global group.")
    namespace: str | None = Field(description="The user whose group it is; null for a global one.")
    packages: int = Field(description="How many packages are in it that are not blocked everywhere.")
    maintainers: list[str]
    states: dict[str, dict[PackageState, int]] = Field(
        description="By collection, how many of its packages that are tested are in each state."
    )


class GroupPage(Page):
    """A page of groups."""

    items: list[GroupLine]


@get("/groups", tag=TAG, query=GroupQuery, answer=GroupPage)
def groups(query: GroupQuery) -> GroupPage:
    """List groups, global ones first, by name."""
    values = cursors.decode(query.cursor, "groups", str)
    wanted = queries.Wanted(query.of, query.contains or "")
    found = queries.page(context.session(), wanted, None if values is None else ByName(values[0]), query.limit)
    cursor = None if found.after is None else cursors.encode("groups", found.after.name)
    return GroupPage(items=_lines(found.groups), next=cursors.next_address(query, cursor))


def _lines(found: Sequence[PackageGroup]) -> list[GroupLine]:
    every = context.choice().every
    names = {collection.id: collection.name for collection in every}
    lines = queries.lines(context.session(), found, list(names))
    return [
        GroupLine(
            name=line.group.full_name,
            namespace=line.group.namespace,
            packages=line.packages,
            maintainers=list(line.maintainers),
            states={names[i]: line.counts[i] for i in names if i in line.counts},
        )
        for line in lines
    ]


class GroupDetail(GroupLine):
    """A group with its packages."""

    members: list[str] | None = Field(
        description="All packages in it, by name; null when there are more than 5000: `/api/v2/packages` lists them."
    )


@get("/groups/<name>", tag=TAG, answer=GroupDetail, errors=(404,))
def global_group(name: str) -> GroupDetail:
    """Tell everything about a global group."""
    return detail(name)


@get("/groups/<namespace>/<name>", tag=TAG, answer=GroupDetail, errors=(404,))
def users_group(namespace: str, name: str) -> GroupDetail:
    """Tell everything about a user's group."""
    return detail(f"{namespace}/{name}")


def detail(full_name: str) -> GroupDetail:
    """A group as an answer tells it. Errors: NotFoundError."""
    found = lookup.group(full_name)
    members = queries.members(context.session(), found.id, MOST_MEMBERS + 1)
    return GroupDetail(**dict(_lines([found])[0]), members=members if len(members) <= MOST_MEMBERS else None)


class UserGroups(Answer):
    """The groups that somebody maintains or has."""

    name: str
    groups: list[GroupName]


@get("/users/<name>", tag="Users", query=Query, answer=UserGroups)
def user(name: str) -> UserGroups:
    """List the groups that somebody maintains, or that bear the user's name; none for a user who is not known."""
    return UserGroups(name=name, groups=[group.full_name for group in queries.of_user(context.session(), name)])


class UserQuery(Paged):
    """Which of somebody's packages are listed."""

    collection: Annotated[
        list[Name], Field(description="Only those in this collection.", max_length=100, default_factory=list)
    ]
    state: Annotated[
        list[PackageState], Field(description="Only those in this state.", max_length=10, default_factory=list)
    ]


@get("/users/<name>/packages", tag="Users", query=UserQuery, answer=packages.PackagePage, errors=(404,))
def users_packages(name: str, query: UserQuery) -> packages.PackagePage:
    """List somebody's packages: as the distribution's source of maintainers says, and by way of groups.

    The same as `/api/v2/packages` with `maintainer`; none for a user who is not known.
    """
    wanted = Wanted(collections=lookup.collections(query.collection), states=frozenset(query.state), maintainer=name)
    return packages.page(query, wanted)
