"""Files that tasks leave: written into the task's directory, then moved to where Koji keeps them.

Logs are real text; RPMs are placeholders that say so. A finished scratch build's files move to
topdir/scratch/USER/task_ID, a real build's to topdir/packages/N/V/R, and the task's directory keeps symbolic links.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .tables import Build
from .tasks import Task, TaskTable
from .values import SourcePackage
from .world import World


def write(directory: Path, files: Mapping[str, str]) -> list[str]:
    """Write them and return their names."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text)
    return list(files)


def placeholder(name: str) -> str:
    return f"{name}: the stand-in hub has no real packages\n"


def rpm_names(source: SourcePackage, arch: str, first: bool) -> list[str]:
    """File names of the RPMs that the task for `arch` makes; only the first task's noarch RPMs are kept."""
    names = []
    for binary in source.binaries:
        if binary.arch == "noarch":
            if not first:
                continue
            rpm_arch = "noarch"
        elif arch == "noarch":
            continue
        else:
            rpm_arch = arch
        names.append(f"{binary.name}-{binary.version or source.version}-{source.release}.{rpm_arch}.rpm")
    return names


def destination(tasks: TaskTable, world: World, task: Task, build: Build | None) -> Path:
    """Where the files of this build task belong."""
    topdir = tasks.directory(task).parents[3]
    if build is None:
        return topdir / "scratch" / world.users[task.owner].name / f"task_{task.id}"
    return topdir / "packages" / build.source.name / build.source.version / build.source.release


def publish(directory: Path, target: Path, arch: str, scratch: bool) -> None:
    """Move a buildArch task's files to `target`, leaving links."""
    for file in directory.iterdir():
        if file.is_symlink():
            continue
        if file.name.endswith(".rpm"):
            place = target if scratch else target / file.name.rsplit(".", 2)[-2]
        else:
            place = target / "logs" / arch if scratch else target / "data" / "logs" / arch
        place.mkdir(parents=True, exist_ok=True)
        file.replace(place / file.name)
        file.symlink_to(os.path.relpath(place / file.name, directory))
