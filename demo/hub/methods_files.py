"""Methods about files: outputs of tasks, and uploads by clients into topdir/work."""

# ruff: noqa: N802, N803

from __future__ import annotations

import base64
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

import koji

from .methods_tasks import TaskMethods
from .rpc import rpc


class FileMethods(TaskMethods):
    @rpc()
    def listTaskOutput(self, taskID: int, stat: bool = False, all_volumes: bool = False, strict: bool = False) -> Any:
        task = self.task(taskID) if strict else self.hub.tasks.get(taskID)
        directory = self.hub.tasks.directory(task) if task else None
        files = sorted(directory.iterdir()) if directory and directory.is_dir() else []
        if not stat:
            return {file.name: ["DEFAULT"] for file in files} if all_volumes else [file.name for file in files]
        answer = {file.name: _stat(file) for file in files}
        return {name: {"DEFAULT": value} for name, value in answer.items()} if all_volumes else answer

    @rpc()
    def downloadTaskOutput(
        self, taskID: int, fileName: str, offset: int = 0, size: int = -1, volume: str | None = None
    ) -> str:
        path = _inside(self.hub.tasks.directory(self.task(taskID)), fileName)
        if not path.is_file():
            raise koji.GenericError(f'no file "{fileName}" output by task {taskID}')
        with path.open("rb") as file:
            file.seek(offset if offset >= 0 else max(0, path.stat().st_size + offset))
            return base64.encodebytes(file.read(size)).decode()

    @rpc()
    def checkUpload(self, path: str, name: str, verify: Any = None, tail: Any = None, volume: Any = None) -> Any:
        file = upload_path(self.hub.topdir, path, name)
        if not file.is_file():
            return None
        answer: dict[str, Any] = {"size": file.stat().st_size, "mtime": file.stat().st_mtime}
        if verify:
            answer |= {"sumtype": "adler32", "hexdigest": adler32(file.read_bytes())}
        return answer

    @rpc()
    def getBuildLogs(self, build: Any) -> Any:
        found = self.world.build(build)
        if found is None:
            raise koji.GenericError(f"No such build: {build!r}")
        source = found.source
        base = self.hub.topdir / "packages" / source.name / source.version / source.release / "data" / "logs"
        logs = sorted(base.glob("*/*.log")) if base.is_dir() else []
        return [
            {"name": log.name, "dir": log.parent.name, "path": str(log.relative_to(self.hub.topdir.resolve()))}
            for log in logs
        ]


def _stat(file: Path) -> dict[str, Any]:
    stat = file.stat()
    # The size is text because XML-RPC's integers are small.
    return {
        "st_size": str(stat.st_size),
        "st_mtime": stat.st_mtime,
        "st_atime": stat.st_atime,
        "st_ctime": stat.st_ctime,
    }


def _inside(directory: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/"):
        raise koji.GenericError(f"Invalid file name: {name}")
    return directory.joinpath(*parts)


def upload_path(topdir: Path, path: str, name: str) -> Path:
    """Where an upload lives: below topdir/work, and nowhere else."""
    return _inside(_inside(topdir / "work", path), name)


def adler32(data: bytes) -> str:
    return f"{zlib.adler32(data) & 0xFFFFFFFF:08x}"


def store_upload(topdir: Path, query: dict[str, str], data: bytes) -> dict[str, Any]:
    """One chunk of a client's upload (rawUpload): parameters in the query string, data in the body."""
    file = upload_path(topdir, query["filepath"], query["filename"])
    offset = int(query.get("offset", "0"))
    file.parent.mkdir(parents=True, exist_ok=True)
    if offset == 0 and file.exists() and not query.get("overwrite"):
        raise koji.GenericError(f"upload path exists: {query['filepath']}/{query['filename']}")
    with file.open("r+b" if offset else "wb") as target:
        target.seek(offset)
        target.write(data)
    return {"size": len(data), "fileverify": "adler32", "offset": offset, "hexdigest": adler32(data)}
