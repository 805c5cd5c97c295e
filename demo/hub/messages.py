"""Koji's messages: their bodies, and their way out.

Bodies are those of the koji-fedoramessaging plugin: changes of top-level scratch tasks (never their
creation), builds, tags, repositories. They leave after the hub has let go of its lock ("after the commit"), so one can
arrive before the caller knows the id of the task it is about. A receiver that raises loses the message.
"""

from __future__ import annotations

import datetime as dt
import logging
import random
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import koji

from .tables import Build, Tag
from .tasks import Task, TaskTable
from .world import World

OnMessage = Callable[[str, dict[str, Any]], None]
Body = dict[str, Any]

log = logging.getLogger(__name__)


class Bus:
    """Queues bodies and hands them to `on_message(topic, body)`, one at a time and in order.

    duplicates: chance that a message is sent twice; reorder: whether messages waiting together are shuffled.
    """

    def __init__(self, world: World, tasks: TaskTable, rng: random.Random) -> None:
        self._world = world
        self._tasks = tasks
        self._rng = rng
        self._queue: deque[tuple[str, Body]] = deque()
        self._sending = threading.Lock()
        self.on_message: OnMessage | None = None
        self.duplicates = 0.0
        self.reorder = False
        self.lost = 0
        self.base_url = "http://127.0.0.1"

    def _put(self, topic: str, body: Body) -> None:
        if self.on_message is None:
            return
        body["base_url"] = self.base_url
        body["instance"] = "primary"
        self._queue.append((f"buildsys.{topic}", body))

    def flush(self) -> None:
        """Send what is queued. While another thread is at it, that thread sends ours as well, to keep the order."""
        while self._queue and self._sending.acquire(blocking=False):
            try:
                self._drain()
            finally:
                self._sending.release()

    def _drain(self) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(len(self._queue))]
            batch = [item for item in batch for _ in range(2 if self._rng.random() < self.duplicates else 1)]
            if self.reorder:
                self._rng.shuffle(batch)
            for topic, body in batch:
                self._send(topic, body)

    def _send(self, topic: str, body: Body) -> None:
        if self.on_message is None:
            return
        try:
            self.on_message(topic, body)
        except Exception:
            self.lost += 1
            log.exception("a message on %s was lost: its receiver failed", topic)

    # what is published

    def task_changed(self, task: Task, old: int) -> None:
        if task.parent is not None or not task.scratch:
            return
        source = task.request[0] if task.request and isinstance(task.request[0], str) else ""
        self._put(
            "task.state.change",
            {
                "id": task.id,
                "method": task.method,
                "attribute": "state",
                "old": koji.TASK_STATES[old],
                "new": koji.TASK_STATES[task.state],
                "owner": self._world.users[task.owner].name,
                "srpm": source.rsplit("/", 1)[-1],
                "info": self._task_info(task),
                "files_base_url": f"{self.base_url}/kojifiles/work",
            },
        )

    def build_changed(self, build: Build, old: int | None) -> None:
        task = self._tasks.get(build.task_id) if build.task_id else None
        source = build.source
        self._put(
            "build.state.change",
            {
                "name": source.name,
                "version": source.version,
                "release": source.release,
                "epoch": source.epoch,
                "attribute": "state",
                "old": old,
                "new": build.state,
                "build_id": build.id,
                "task_id": build.task_id,
                "task": self._task_info(task) if task else None,
                "request": task.request if task else None,
                "owner": self._world.users[build.owner_id].name,
                "url": f"{self.base_url}/koji/buildinfo?buildID={build.id}",
                "creation_time": _iso(build.creation_ts),
                "completion_time": _iso(build.completion_ts),
                "files_base_url": f"{self.base_url}/kojifiles/work",
            },
        )

    def tagged(self, tag: Tag, build: Build, user: int, untagged: bool = False) -> None:
        source = build.source
        self._put(
            "untag" if untagged else "tag",
            {
                "tag": tag.name,
                "tag_id": tag.id,
                "name": source.name,
                "version": source.version,
                "release": source.release,
                "build_id": build.id,
                "user": self._world.users[user].name,
                "owner": self._world.users[build.owner_id].name,
            },
        )

    def repo(self, what: str, tag: Tag, repo_id: int) -> None:
        self._put(f"repo.{what}", {"tag": tag.name, "tag_id": tag.id, "repo_id": repo_id})

    def _task_info(self, task: Task, child: bool = False) -> Body:
        host = self._world.hosts.get(task.host_id or 0)
        info: Body = {
            "id": task.id,
            "method": task.method,
            "arch": task.arch,
            "label": task.label,
            "parent": task.parent,
            "owner": self._world.users[task.owner].name,
            "channel_id": task.channel_id,
            "priority": task.priority,
            "state": task.state,
            "host_id": task.host_id,
            "host_name": host.name if host else None,
            "create_time": _whole(task.create_ts),
            "start_time": _whole(task.start_ts),
            "completion_time": _whole(task.completion_ts),
            "waiting": task.waiting,
            "awaited": task.awaited,
            "url": f"{self.base_url}/koji/taskinfo?taskID={task.id}",
            "result": task.result,  # null for a failed task, too
            "children": [self._task_info(self._tasks[each], child=True) for each in task.children],
        }
        if not child:
            info["request"] = task.request
        return info


def _whole(ts: float | None) -> float | None:
    return None if ts is None else float(int(ts))


def _iso(ts: float | None) -> str | None:
    return None if ts is None else dt.datetime.fromtimestamp(ts, dt.UTC).isoformat()
