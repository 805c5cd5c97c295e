"""What a Koji task says about the package it built: succeeded, failed, or nothing at all (cancelled, spoiled).

Fault codes are Koji's own (the `faultCode` of its exceptions); a code it does not have, in practice 1 with a Python
traceback, is a builder that broke down.
"""

from __future__ import annotations

from datetime import timedelta
from enum import IntEnum, StrEnum

from koschei.rules.states import BuildState


class TaskState(IntEnum):
    """State of a task, in Koji's numbering."""

    FREE = 0
    OPEN = 1
    CLOSED = 2
    CANCELED = 3
    ASSIGNED = 4
    FAILED = 5

    @classmethod
    def parse(cls, value: str | int) -> TaskState:
        """The state of that name or number; ValueError if Koji has no such state."""
        try:
            return cls[value] if isinstance(value, str) else cls(value)
        except (KeyError, ValueError):
            known = ", ".join(f"{state.name} ({state.value})" for state in cls)
            raise ValueError(f"{value!r} is not the state of a Koji task; these are: {known}") from None


class Blame(StrEnum):
    """Whose fault a spoiled build is."""

    KOJI = "koji"
    OURS = "ours"


KNOWN_CODES = frozenset(range(1000, 1025))
"""Codes of the exceptions that Koji defines."""

BREAKDOWN_CODES = frozenset({1001, 1002, 1006, 1007, 1008, 1009, 1014, 1016, 1017, 1021, 1023})
"""Those of them that happen between a builder and the hub whatever is built: locks, logins and sessions, the hub being
offline, Koji's own plugins, callbacks and settings."""

ACTION_NOT_ALLOWED = 1004


def is_koji_fault(code: int | None) -> bool:
    """Whether a task's fault code tells of Koji breaking down; None (no fault in the result) does not."""
    return code is not None and (code in BREAKDOWN_CODES or code not in KNOWN_CODES)


def blame(fault_code: int | None, *, has_children: bool = True) -> Blame | None:
    """Who spoiled a FAILED build task; None if nobody did and the package failed.

    `has_children`: whether the task had any child task. One that had none never came to the package: Koji refused the
    request (unknown target, a repository that is gone, no right to it), so it is ours.
    """
    if is_koji_fault(fault_code):
        return Blame.KOJI
    if fault_code == ACTION_NOT_ALLOWED or not has_children:
        return Blame.OURS
    return None


def verdict(
    task_state: TaskState | str | int, fault_code: int | None = None, *, has_children: bool = True
) -> BuildState | None:
    """The state of a build whose `build` task is in this state (name or number); None while it may still run.

    `fault_code` and `has_children` matter only for a FAILED task; see `blame`. Raises ValueError for a state that Koji
    does not have.
    """
    match TaskState.parse(task_state):
        case TaskState.CLOSED:
            return BuildState.COMPLETE
        case TaskState.CANCELED:
            return BuildState.CANCELED
        case TaskState.FAILED:
            spoiled = blame(fault_code, has_children=has_children) is not None
            return BuildState.SPOILED if spoiled else BuildState.FAILED
        case _:
            return None


LONGEST_RETRY_DELAY = timedelta(hours=24)


def spoiled_retry_delay(consecutive: int, base_seconds: float) -> timedelta:
    """How long to wait after the last of `consecutive` spoiled builds: `base_seconds`, doubled with each, at most 24 h.

    Nothing to wait for without a spoiled build.
    """
    if consecutive < 1:
        return timedelta(0)
    # 24 hours are reached from any sensible base long before the exponent's limit, which keeps 2**n small.
    seconds = base_seconds * 2 ** min(consecutive - 1, 64)
    return timedelta(seconds=min(seconds, LONGEST_RETRY_DELAY.total_seconds()))
