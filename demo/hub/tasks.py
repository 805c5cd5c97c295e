"""Koji's tasks: their rows, and the state changes that any task can go through.

FREE -> ASSIGNED -> OPEN -> CLOSED | FAILED | CANCELED, and OPEN -> FREE when a builder gives one back. Who does the
work is `builder`'s business. Outputs live under topdir/work/tasks/<id % 10000>/<id>, as in Koji.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault

import koji

FREE = koji.TASK_STATES["FREE"]
OPEN = koji.TASK_STATES["OPEN"]
CLOSED = koji.TASK_STATES["CLOSED"]
CANCELED = koji.TASK_STATES["CANCELED"]
ASSIGNED = koji.TASK_STATES["ASSIGNED"]
FAILED = koji.TASK_STATES["FAILED"]
FINISHED = (CLOSED, CANCELED, FAILED)

# A task weighs 1.0 until a builder has opened it and knows better.
_WEIGHTS = {"build": 0.2, "buildArch": 1.5, "tagBuild": 0.1, "newRepo": 0.1}


@dataclass
class Task:
    """One row of Koji's task table. `waiting` and `awaited` are null until a parent waits for its children."""

    id: int
    method: str
    request: list[Any]
    owner: int
    create_ts: float
    arch: str = "noarch"
    label: str | None = None
    parent: int | None = None
    channel_id: int = 1
    priority: int = koji.PRIO_DEFAULT
    weight: float = 1.0
    state: int = FREE
    host_id: int | None = None
    start_ts: float | None = None
    completion_ts: float | None = None
    waiting: bool | None = None
    awaited: bool | None = None
    result: Any = None
    fault: Fault | None = None
    children: list[int] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        return self.state in FINISHED

    @property
    def scratch(self) -> bool:
        return bool(self.request and isinstance(self.request[-1], dict) and self.request[-1].get("scratch"))


class TaskTable:
    """All tasks. `on_change(task, old_state)` hears of each change of state but not of creation, as in Koji."""

    def __init__(self, clock: Callable[[], float], topdir: Path, rng: random.Random) -> None:
        self._clock = clock
        self._topdir = topdir
        self._rng = rng
        self._tasks: dict[int, Task] = {}
        self.active: set[int] = set()
        self.on_change: Callable[[Task, int], None] = lambda task, old: None

    def __getitem__(self, task_id: int) -> Task:
        return self._tasks[task_id]

    def __iter__(self) -> Iterator[Task]:
        return iter(list(self._tasks.values()))

    def __len__(self) -> int:
        return len(self._tasks)

    def get(self, task_id: int) -> Task | None:
        return self._tasks.get(task_id)

    def create(self, method: str, request: list[Any], owner: int, **fields: Any) -> Task:
        """A new task; with parent=ID it becomes that task's child, one step more urgent."""
        task = Task(len(self._tasks) + 1, method, request, owner, self._clock(), **fields)
        if task.parent is not None:
            parent = self._tasks[task.parent]
            task.priority = parent.priority - 1
            parent.children.append(task.id)
        self._tasks[task.id] = task
        if not task.finished:
            self.active.add(task.id)
        return task

    def children(self, task: Task) -> list[Task]:
        """In no order, like Koji's answer: nobody may rely on it."""
        children = [self._tasks[child] for child in task.children]
        self._rng.shuffle(children)
        return children

    def directory(self, task: Task) -> Path:
        return self._topdir / "work" / str(koji.pathinfo.taskrelpath(task.id))

    # state changes

    def assign(self, task: Task, host_id: int) -> None:
        task.host_id = host_id
        self._change(task, ASSIGNED)

    def open(self, task: Task) -> None:
        task.start_ts = self._clock()
        task.weight = _WEIGHTS.get(task.method, 1.0)
        self._change(task, OPEN)

    def free(self, task: Task) -> None:
        """A builder gives the task back (it restarted); another will take it."""
        task.host_id = None
        self._change(task, FREE)

    def close(self, task: Task, result: Any) -> None:
        task.result = result
        self._finish(task, CLOSED)

    def fail(self, task: Task, code: int, text: str) -> None:
        task.fault = Fault(code, text)
        self._finish(task, FAILED)

    def cancel(self, task: Task) -> None:
        """Cancel the task and its children, as far as they are not finished."""
        if not task.finished:
            self._finish(task, CANCELED)
        for child in task.children:
            self.cancel(self._tasks[child])

    def _finish(self, task: Task, state: int) -> None:
        task.completion_ts = self._clock()
        self.active.discard(task.id)
        self._change(task, state)

    def _change(self, task: Task, state: int) -> None:
        old, task.state = task.state, state
        self.on_change(task, old)
