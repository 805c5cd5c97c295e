"""Addresses of Koji's web pages and files."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlencode

from koschei.config import KojiConfig


def task_url(config: KojiConfig, task_id: int) -> str:
    """Koji's page about a task."""
    return f"{config.weburl.rstrip('/')}/taskinfo?taskID={task_id}"


def log_url(config: KojiConfig, task_id: int, name: Literal["build.log", "root.log"]) -> str:
    """A log of a `buildArch` task; Koji deletes it after some days."""
    return f"{config.topurl.rstrip('/')}/work/tasks/{task_id % 10000}/{task_id}/{name}"


def build_search_url(config: KojiConfig, nvr: str) -> str:
    """Koji's page about a real build, found by its name-version-release."""
    return f"{config.weburl.rstrip('/')}/search?{urlencode({'match': 'exact', 'type': 'build', 'terms': nvr})}"
