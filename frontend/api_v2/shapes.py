"""What several routes answer: builds, versions, resolutions."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from frontend.api_v2.values import Answer
from koschei.model import Build
from koschei.queries.api_builds import Line
from koschei.rules.states import BuildState


class BuildWord(StrEnum):
    """The state of a build."""

    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELED = "canceled"
    SPOILED = "spoiled"

    @property
    def state(self) -> BuildState:
        """The same as it is stored."""
        return BuildState[self.name]


class BuildLine(Answer):
    """A build. `canceled` and `spoiled` ones say nothing about the package."""

    id: int
    package: str
    collection: str
    state: BuildWord
    real: bool = Field(description="Whether it is a maintainer's own build, and not a scratch build of Koschei's.")
    epoch: int | None
    version: str
    release: str
    task_id: int | None = Field(description="Its task in Koji; null before Koji has given one, or when imported.")
    repo_id: int | None = Field(description="The repository it was built in.")
    started: datetime
    finished: datetime | None
    untagged: bool = Field(description="Whether Koji has it in no tag any more; it does not count then.")


def build_line(build: Line | Build, package: str, collection: str) -> BuildLine:
    """A build as an answer tells it."""
    return BuildLine(
        id=build.id,
        package=package,
        collection=collection,
        state=BuildWord(build.state.word),
        real=build.real,
        epoch=build.epoch,
        version=build.version,
        release=build.release,
        task_id=build.task_id,
        repo_id=build.repo_id,
        started=build.started,
        finished=build.finished,
        untagged=build.untagged,
    )


class Resolution(Answer):
    """An answer of the resolver that differed from the one before."""

    id: int
    resolved: bool
    time: datetime
    repo_id: int | None
    problems: list[str]
