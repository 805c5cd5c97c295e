"""Methods about tasks: submitting, watching, cancelling, reading results."""

# ruff: noqa: N802, N803

from __future__ import annotations

from typing import Any
from xmlrpc.client import Fault

import koji

from . import queryopts, rows
from .methods_builds import seconds
from .rpc import Methods, integer, named, rpc
from .tasks import CANCELED, FINISHED, Task
from .world import CHANNELS

_TIMES = ("create", "start", "completion")


class TaskMethods(Methods):
    def task(self, task_id: Any, text: str = "query returned no rows") -> Task:
        task = self.hub.tasks.get(integer(task_id))
        if task is None:
            raise koji.GenericError(text)
        return task

    @rpc(write=True)
    def build(self, src: Any, target: Any, opts: Any = None, priority: Any = None, channel: Any = None) -> int:
        """Takes nearly everything; what is wrong with it the task will say."""
        user = self.user()
        if not isinstance(src, str):
            raise koji.ParameterError("Invalid type, expected type <class 'str'>")
        if priority is not None and priority < 0 and not user.admin:
            raise koji.ActionNotAllowed("only admins may create high-priority tasks")
        if channel is not None and channel not in CHANNELS:
            raise koji.GenericError(f"No such channel: {channel}")
        return self.hub.submit(src, target, dict(opts or {}), user.id, priority).id

    @rpc(write=True)
    def cancelTask(self, task_id: int, recurse: bool = True) -> None:
        task = self.task(task_id, f"No such task: {task_id}")
        if self.session is None or not (self.session.user.admin or self.session.user.id == task.owner):
            raise koji.ActionNotAllowed("Cannot cancel task, not owner")
        self.hub.tasks.cancel(task)

    @rpc(write=True)
    def cancelTaskFull(self, task_id: int, strict: bool = True) -> None:
        self.need("admin")
        task = self.task(task_id)
        while task.parent is not None:
            task = self.hub.tasks[task.parent]
        self.hub.tasks.cancel(task)

    @rpc(write=True)
    def setTaskPriority(self, task_id: int, priority: int, recurse: bool = True) -> None:
        self.need("admin")
        task = self.task(task_id)
        task.priority = priority
        for child in self.hub.tasks.children(task) if recurse else []:
            child.priority = priority - 1

    # rows

    @rpc()
    def getTaskInfo(self, task_id: Any, request: bool = False, strict: bool = False) -> Any:
        if isinstance(task_id, list):
            return [self.getTaskInfo(each, request, strict) for each in task_id]
        task = self.task(task_id) if strict else self.hub.tasks.get(integer(task_id))
        return None if task is None else rows.task(task, request)

    @rpc()
    def getTaskRequest(self, taskId: int) -> Any:
        return self.task(taskId).request

    @rpc()
    def getTaskChildren(self, task_id: int, request: bool = False, strict: bool = False) -> Any:
        task = self.task(task_id) if strict else self.hub.tasks.get(integer(task_id))
        return [] if task is None else [rows.task(child, request) for child in self.hub.tasks.children(task)]

    @rpc()
    def getTaskDescendents(self, task_id: int, request: bool = False) -> Any:
        answer = {}
        queue = [self.task(task_id)]
        while queue:
            task = queue.pop()
            children = self.hub.tasks.children(task)
            answer[str(task.id)] = [rows.task(child, request) for child in children]
            queue += children
        return answer

    @rpc()
    def listTasks(self, opts: Any = None, queryOpts: Any = None) -> Any:
        wanted = dict(opts or {})
        decode = bool(wanted.pop("decode", False))
        times = {key: wanted.pop(key) for key in list(wanted) if key.endswith(("After", "Before"))}
        for key in ("owner", "channel_id", "host_id"):
            if isinstance(wanted.get(key), str):
                wanted[key] = self._id_of(key, wanted[key])
        found = [
            rows.listed_task(self.world, task, decode)
            for task in self.hub.tasks
            if all(_fits(getattr(task, key, None), value) for key, value in wanted.items()) and _in_time(task, times)
        ]
        return queryopts.apply(found, queryOpts)

    def _id_of(self, key: str, name: str) -> Any:
        row: Any = self.world.user(name) if key == "owner" else self.world.host(name)
        if key == "channel_id":
            return CHANNELS.index(name) + 1 if name in CHANNELS else None
        return row.id if row else None

    @rpc()
    def taskFinished(self, taskId: int) -> bool:
        return self.task(taskId).state in FINISHED

    @rpc()
    def getTaskResult(self, taskId: int, raise_fault: bool = True) -> Any:
        task = self.task(taskId, "No such task")
        if task.state == CANCELED:
            raise koji.GenericError(f"Task {task.id} is canceled")
        if not task.finished:
            raise koji.GenericError(f"Task {task.id} is not finished")
        if task.fault is not None:
            if raise_fault:
                raise Fault(task.fault.faultCode, task.fault.faultString)
            return {"faultCode": task.fault.faultCode, "faultString": task.fault.faultString}
        return task.result

    @rpc()
    def listBuildroots(self, taskID: Any = None, queryOpts: Any = None, **other: Any) -> Any:
        """Of a task: the one its result speaks of."""
        task = self.hub.tasks.get(taskID) if taskID is not None else None
        if task is None or not isinstance(task.result, dict) or "brootid" not in task.result:
            return []
        tag = self.world.tag(named(task.request[1]))
        repo_id = task.request[-1].get("repo_id")
        broot = {"id": task.result["brootid"], "task_id": task.id, "repo_id": repo_id, "arch": task.arch}
        return [{**broot, "tag_name": tag.name if tag else None, "host_id": task.host_id, "state": 3}]


def _fits(value: Any, wanted: Any) -> bool:
    return value in wanted if isinstance(wanted, list) else value == wanted


def _in_time(task: Task, times: dict[str, Any]) -> bool:
    """The filters createdAfter, startedBefore, completeAfter and so on."""
    for key, limit in times.items():
        which = next((name for name in _TIMES if key.startswith(name[:5])), None)
        if which is None:
            raise koji.GenericError(f"Invalid option: {key}")
        ts = getattr(task, f"{which}_ts")
        if ts is None or (ts <= seconds(limit) if key.endswith("After") else ts >= seconds(limit)):
            return False
    return True
