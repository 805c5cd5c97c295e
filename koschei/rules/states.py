"""States of builds, packages and collections, and how a package's state follows from what is known about it."""

from enum import IntEnum, StrEnum


class BuildState(IntEnum):
    """State of a build; the numbers are stored.

    CANCELED and SPOILED (Koji's or our own fault) are kept as evidence, and never counted for or against the package.
    """

    RUNNING = 2
    COMPLETE = 3
    CANCELED = 4
    FAILED = 5
    SPOILED = 6

    @property
    def counted(self) -> bool:
        """Whether a build in this state says something about the package: `complete` and `failed` do."""
        return self in COUNTED

    @property
    def finished(self) -> bool:
        """Whether the build has come to an end, whichever."""
        return self is not BuildState.RUNNING

    @property
    def word(self) -> str:
        """The state in a word, as pages and logs show it."""
        return self.name.lower()


COUNTED = (BuildState.COMPLETE, BuildState.FAILED)


class PackageState(StrEnum):
    """State of a package in a collection, as people see it."""

    BLOCKED = "blocked"
    UNTRACKED = "untracked"
    UNRESOLVED = "unresolved"
    OK = "ok"
    FAILING = "failing"
    UNKNOWN = "unknown"


BROKEN = (PackageState.UNRESOLVED, PackageState.FAILING)
LEFT_ALONE = (PackageState.BLOCKED, PackageState.UNTRACKED)


class CollectionState(StrEnum):
    """State of a collection: whether its base buildroot can be installed."""

    OK = "ok"
    UNRESOLVED = "unresolved"
    UNKNOWN = "unknown"


class SkipReason(IntEnum):
    """Why the scheduler could not submit a package: no source, no architecture, Koji did not tell; the numbers are
    stored."""

    NO_SRPM = 1
    NO_ARCH = 2
    NOT_TOLD = 3


def package_state(
    *, blocked: bool, tracked: bool, resolved: bool | None, last_complete: BuildState | None
) -> PackageState:
    """The state of a package; the first rule that applies wins.

    `resolved`: whether its build dependencies can be installed in the newest repository, None if that was not tried
    (the last build then decides alone). `last_complete`: state of its newest counted build, None if there is none.
    """
    if blocked:
        return PackageState.BLOCKED
    if not tracked:
        return PackageState.UNTRACKED
    if resolved is False:
        return PackageState.UNRESOLVED
    if last_complete == BuildState.COMPLETE:
        return PackageState.OK
    if last_complete == BuildState.FAILED:
        return PackageState.FAILING
    return PackageState.UNKNOWN


def collection_state(latest_repo_resolved: bool | None) -> CollectionState:
    """The state of a collection, by whether its base buildroot installs in the newest repository (None: not tried)."""
    if latest_repo_resolved is None:
        return CollectionState.UNKNOWN
    return CollectionState.OK if latest_repo_resolved else CollectionState.UNRESOLVED


def message_state(state: PackageState) -> str:
    """The state as messages name it: `ok`, `failing` and `unresolved` as they are, every other one `ignored`.

    The message schema (koschei-messages) knows only these four; its summary breaks on any other.
    """
    if state in (PackageState.OK, PackageState.FAILING, PackageState.UNRESOLVED):
        return state.value
    return "ignored"
