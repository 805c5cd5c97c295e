"""What the resolver said: which packages cannot be resolved now, and how it was with one before."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from frontend import context
from frontend.api_v2 import cursors, lookup
from frontend.api_v2.declare import get
from frontend.api_v2.shapes import Resolution
from frontend.api_v2.values import Answer, GroupName, Name, Page, Paged
from koschei.queries import api_resolutions, package

TAG = "Resolution"


class ProblemQuery(Paged):
    """Which packages' problems are listed."""

    collection: Annotated[
        list[Name], Field(description="Only in this collection.", max_length=100, default_factory=list)
    ]
    group: Annotated[GroupName | None, Field(description="Only of packages in this group.")] = None


class Unresolved(Answer):
    """A package whose build dependencies cannot be installed."""

    package: str
    collection: str
    since: datetime = Field(description="When it became unresolved.")
    repo_id: int | None = Field(description="The repository in which these problems were seen first.")
    problems: list[str]


class ProblemPage(Page):
    """A page of packages that cannot be resolved."""

    items: list[Unresolved]


@get("/problems", tag=TAG, query=ProblemQuery, answer=ProblemPage, errors=(404,))
def problems(query: ProblemQuery) -> ProblemPage:
    """List the packages whose build dependencies cannot be installed now, and why, by name."""
    after = cursors.decode(query.cursor, "problems", str, int)
    found = api_resolutions.unresolved(
        context.session(),
        lookup.collections(query.collection),
        None if query.group is None else [lookup.group(query.group).id],
        None if after is None else (after[0], after[1]),
        query.limit + 1,
    )
    more, found = len(found) > query.limit, found[: query.limit]
    cursor = cursors.encode("problems", found[-1].package, found[-1].package_id) if more else None
    return ProblemPage(
        items=[Unresolved.model_validate(item) for item in found], next=cursors.next_address(query, cursor)
    )


class ResolutionPage(Page):
    """A page of answers of the resolver."""

    items: list[Resolution]


@get("/packages/<name>/<collection>/resolutions", tag=TAG, query=Paged, answer=ResolutionPage, errors=(404,))
def resolutions(name: str, collection: str, query: Paged) -> ResolutionPage:
    """List the answers of the resolver about a package, the newest first: each differs from the one before."""
    values = cursors.decode(query.cursor, "resolutions", str, int)
    after = None if values is None else (cursors.moment(values[0]), values[1])
    package_id = lookup.package(name, collection)
    found = package.resolutions(context.session(), package_id, after, query.limit + 1)
    more, found = len(found) > query.limit, found[: query.limit]
    cursor = cursors.encode("resolutions", found[-1].timestamp.isoformat(), found[-1].id) if more else None
    items = [
        Resolution(
            id=item.id, resolved=item.resolved, time=item.timestamp, repo_id=item.repo_id, problems=list(item.problems)
        )
        for item in found
    ]
    return ResolutionPage(items=items, next=cursors.next_address(query, cursor))
