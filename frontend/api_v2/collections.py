"""Collections: how the releases are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import Field

from frontend import context
from frontend.api_v2.declare import get
from frontend.api_v2.values import Answer
from koschei.model import Collection
from koschei.queries import collections as queries
from koschei.rules.states import CollectionState, PackageState

TAG = "Collections"
RESOLUTIONS_SHOWN = 10


class RepositoryResolution(Answer):
    """How the packages of a collection were resolved in one repository."""

    repo_id: int
    base_resolved: bool = Field(description="Whether the base buildroot could be installed.")
    started: datetime
    finished: datetime | None = Field(description="Null while that goes on.")
    resolved: int
    unresolved: int
    changed: int


class CollectionLine(Answer):
    """A collection: a release of a distribution."""

    name: str
    display_name: str
    order: int = Field(description="Collections with a higher one are shown first.")
    state: CollectionState = Field(description="Whether the base buildroot of its newest repository can be installed.")
    packages: dict[PackageState, int] = Field(description="How many packages that are tested are in each state.")
    repository: RepositoryResolution | None = Field(description="Its newest repository; null before the first.")


class CollectionList(Answer):
    """All collections."""

    items: list[CollectionLine]


class CollectionDetail(CollectionLine):
    """A collection with its settings."""

    target: str = Field(description="The target in Koji that its packages are built for.")
    dest_tag: str
    build_tag: str
    build_group: str
    bugzilla_product: str | None
    bugzilla_version: str | None
    priority_coefficient: float
    problems: list[str] = Field(description="Why the base buildroot cannot be installed; empty when it can.")
    repositories: list[RepositoryResolution] = Field(description="The newest ones, newest first.")


@get("/collections", tag=TAG, answer=CollectionList)
def collections() -> CollectionList:
    """List all collections, in the order in which they are shown."""
    return CollectionList(items=_lines(context.choice().every))


@get("/collections/<name>", tag=TAG, answer=CollectionDetail, errors=(404,))
def collection(name: str) -> CollectionDetail:
    """Tell everything about a collection."""
    found, session = context.collection(name), context.session()
    line = _lines([found])[0]
    return CollectionDetail(
        **dict(line),
        target=found.target,
        dest_tag=found.dest_tag,
        build_tag=found.build_tag,
        build_group=found.build_group,
        bugzilla_product=found.bugzilla_product,
        bugzilla_version=found.bugzilla_version,
        priority_coefficient=found.priority_coefficient,
        problems=queries.buildroot_problems(session, [found.id]).get(found.id, []),
        repositories=[_repository(item) for item in queries.resolutions(session, found.id, RESOLUTIONS_SHOWN)],
    )


def _lines(found: Sequence[Collection]) -> list[CollectionLine]:
    session = context.session()
    counts = queries.state_counts(session, [item.id for item in found])
    newest = queries.newest_resolutions(session, found)
    return [
        CollectionLine(
            name=item.name,
            display_name=item.display_name,
            order=item.order,
            state=item.state,
            packages={state: counts[item.id][state] for state in PackageState if state in counts[item.id]},
            repository=_repository(newest[item.id]) if item.id in newest else None,
        )
        for item in found
    ]


def _repository(found: queries.Resolution) -> RepositoryResolution:
    return RepositoryResolution.model_validate(found)
