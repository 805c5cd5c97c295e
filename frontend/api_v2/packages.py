"""Packages: the list, and everything about one."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated

from pydantic import Field

from frontend import context
from frontend.api_v2 import cursors, lookup
from frontend.api_v2.declare import get
from frontend.api_v2.shapes import BuildLine, build_line
from frontend.api_v2.values import Answer, Flag, GroupName, Name, Page, Paged, Pattern
from koschei.errors import NotFoundError
from koschei.queries import api_packages
from koschei.queries.api_packages import Line, Place, Wanted
from koschei.rules.names import shown
from koschei.rules.states import PackageState

TAG = "Packages"


class PackageQuery(Paged):
    """Which packages are listed."""

    name: Annotated[
        list[Name], Field(description="Packages of exactly this name.", max_length=200, default_factory=list)
    ]
    contains: Annotated[
        Pattern | None, Field(description="Packages whose name contains this, in any case; `*` is anything.")
    ] = None
    collection: Annotated[
        list[Name], Field(description="Only those in this collection.", max_length=100, default_factory=list)
    ]
    state: Annotated[
        list[PackageState], Field(description="Only those in this state.", max_length=10, default_factory=list)
    ]
    group: Annotated[GroupName | None, Field(description="Only those in this group.")] = None
    maintainer: Annotated[
        Name | None, Field(description="Only those that this person maintains, or that are in the person's groups.")
    ] = None
    tracked: Annotated[Flag | None, Field(description="Only those that are tracked, or that are not.")] = None
    running: Annotated[Flag | None, Field(description="Only those that are being built, or that are not.")] = None


class PackageLine(Answer):
    """A package in one collection. Builds are named by their numbers: `/api/v2/builds/NUMBER`."""

    name: str
    collection: str
    state: PackageState
    since: datetime = Field(description="When it came into this state.")
    tracked: bool
    blocked: bool
    priority: float | None = Field(description="To a tenth, rounded down; null as long as no build is known.")
    running_build: int | None
    last_build: int | None
    last_complete_build: int | None = Field(description="The last build that counts: its state rests on it.")
    last_build_started: datetime | None


class PackagePage(Page):
    """A page of packages."""

    items: list[PackageLine]


@get("/packages", tag=TAG, query=PackageQuery, answer=PackagePage, errors=(404,))
def packages(query: PackageQuery) -> PackagePage:
    """List packages.

    One item for each package in each collection, by name; blocked and untracked ones too, unless filters say otherwise.
    A filter that is given several times lets through what fits any of its values; different filters must all fit.
    """
    wanted = Wanted(
        collections=lookup.collections(query.collection),
        states=frozenset(query.state),
        names=frozenset(query.name),
        contains=query.contains,
        group_ids=None if query.group is None else [lookup.group(query.group).id],
        maintainer=query.maintainer,
        tracked=query.tracked,
        running=query.running,
    )
    return page(query, wanted)


def page(query: Paged, wanted: Wanted) -> PackagePage:
    """The page of a list of packages that the request asks for."""
    after = cursors.decode(query.cursor, "packages", str, int)
    found = api_packages.lines(
        context.session(),
        wanted,
        None if after is None else (after[0], after[1]),
        query.limit + 1,
        context.frontend().config,
        context.now(),
    )
    more, found = len(found) > query.limit, found[: query.limit]
    cursor = cursors.encode("packages", found[-1].name, found[-1].id) if more else None
    return PackagePage(items=[_line(line) for line in found], next=cursors.next_address(query, cursor))


def _line(line: Line) -> PackageLine:
    return PackageLine(
        name=line.name,
        collection=line.collection,
        state=line.state,
        since=line.since,
        tracked=line.tracked,
        blocked=line.blocked,
        priority=tenth(line.priority),
        running_build=line.running_build,
        last_build=line.last_build,
        last_complete_build=line.last_complete_build,
        last_build_started=line.last_build_started,
    )


def tenth(value: float | None) -> float | None:
    """A number to a tenth, rounded down: so it never looks as if it reached a threshold."""
    return None if value is None else math.floor(value * 10) / 10


class Term(Answer):
    """A term of the priority's sum."""

    name: str
    value: float
    explanation: str


class Priority(Answer):
    """Why a package is or is not built soon: it is when the total reaches the threshold and every condition holds."""

    total: float = Field(description="The sum of the terms.")
    threshold: int
    terms: list[Term]
    due: datetime | None = Field(description="When elapsed time alone will reach the threshold; null: never.")


class Condition(Answer):
    """A condition of being built. Where it does not hold, `reason` says why and `remedy` what will change it."""

    name: str
    holds: bool
    text: str
    reason: str
    remedy: str


class Settings(Answer):
    """What people have set about a package."""

    manual_priority: int
    static_priority: int
    arch_override: str | None
    skip_resolution: bool


class PackagePlace(Answer):
    """A package in one collection."""

    collection: str
    state: PackageState
    since: datetime
    tracked: bool
    blocked: bool
    schedulable: bool = Field(description="Whether every condition holds.")
    conditions: list[Condition]
    priority: Priority | None = Field(description="Null as long as no build of it is known.")
    problems: list[str] = Field(description="Why its build dependencies cannot be installed; empty when they can.")
    settings: Settings
    running_build: BuildLine | None
    last_complete_build: BuildLine | None


class PackageDetail(Answer):
    """A package in all its collections."""

    name: str
    groups: list[str] = Field(description="All groups that it is in, by their full names.")
    maintainers: list[str] = Field(description="Who maintains it, as the distribution's source of that says.")
    collections: list[PackagePlace]


@get("/packages/<name>", tag=TAG, answer=PackageDetail, errors=(404,))
def package(name: str) -> PackageDetail:
    """Tell everything about a package.

    In each collection that has it: its state, whether it may be built and if not, why; its priority with its terms;
    why it cannot be resolved; what people have set; its running build and the last one that counts.
    """
    config, now = context.frontend().config, context.now()
    found = api_packages.everywhere(context.session(), name, context.choice().every, config, now)
    if not found.places:
        raise NotFoundError(f"There is no package {shown(name)}. New ones appear when they are in Koji's package list")
    return PackageDetail(
        name=name,
        groups=list(found.groups),
        maintainers=list(found.maintainers),
        collections=[_place(name, place) for place in found.places],
    )


def _place(name: str, place: Place) -> PackagePlace:
    row, where, why = place.where.package, place.where.collection.name, place.explanation
    priority = None
    if why.priority is not None:
        terms = [
            Term(name=t.name, value=tenth(t.value) or 0.0, explanation=t.explanation) for t in why.priority.terms()
        ]
        total = tenth(why.priority.total) or 0.0
        priority = Priority(total=total, threshold=why.threshold, terms=terms, due=_minute(why.due))
    running, last = place.where.running, place.where.last_complete
    return PackagePlace(
        collection=where,
        state=row.state,
        since=row.state_since,
        tracked=row.tracked,
        blocked=row.blocked,
        schedulable=why.schedulable,
        conditions=[Condition.model_validate(condition) for condition in why.conditions],
        priority=priority,
        problems=list(place.problems),
        settings=Settings.model_validate(row),
        running_build=build_line(running, name, where) if running else None,
        last_complete_build=build_line(last, name, where) if last else None,
    )


def _minute(moment: datetime | None) -> datetime | None:
    """To the minute: what is computed from the present moment is never quite the same, and need not be."""
    return None if moment is None else moment.replace(second=0, microsecond=0)
