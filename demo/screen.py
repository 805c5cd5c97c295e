"""What the demo shows: in a terminal a picture of events, packages and services, elsewhere plain lines."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from koschei.rules.states import PackageState
from koschei.status import Health, StatusReport

SHOWN = 14
COLORS = {
    PackageState.OK: "green",
    PackageState.FAILING: "red",
    PackageState.UNRESOLVED: "dark_orange",
    PackageState.UNKNOWN: "grey50",
    PackageState.UNTRACKED: "grey50",
    PackageState.BLOCKED: "grey50",
}


@dataclass(frozen=True)
class View:
    """What is shown beside the events; `processes` are ids by name, `deaths` how often each was started again."""

    report: StatusReport | None = None
    counts: Mapping[PackageState, int] = field(default_factory=dict)
    processes: Mapping[str, int | None] = field(default_factory=dict)
    deaths: Mapping[str, int] = field(default_factory=dict)


class Screen:
    """Shows what it is told. `tell` may be called from any thread."""

    def __init__(self, heading: str, plain: bool = False) -> None:
        self._heading = heading
        self._guard = threading.Lock()
        self._events: deque[tuple[datetime, str]] = deque(maxlen=SHOWN)
        self._live: Live | None = None
        self._view = View()
        if not plain and sys.stdout.isatty():
            self._live = Live(console=Console(), auto_refresh=False, screen=False, transient=False)

    @property
    def interactive(self) -> bool:
        """Whether somebody looks at a terminal."""
        return self._live is not None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def tell(self, text: str) -> None:
        """Something happened."""
        now = datetime.now()  # noqa: DTZ005 - the time on the wall of whoever looks
        with self._guard:
            self._events.append((now, text))
            if self._live is None:
                print(f"{now:%H:%M:%S} {text}", flush=True)
                return
        self.draw()

    def show(self, heading: str, view: View) -> None:
        """Show how things are now."""
        with self._guard:
            self._heading, self._view = heading, view
        self.draw()

    def draw(self) -> None:
        """Bring the terminal up to date."""
        with self._guard:
            if self._live is not None:
                self._live.update(self._picture(), refresh=True)

    def _picture(self) -> RenderableType:
        parts: list[RenderableType] = [Text(self._heading, style="bold")]
        events = Table.grid(padding=(0, 1))
        for moment, text in self._events:
            events.add_row(Text(f"{moment:%H:%M:%S}", style="grey50"), Text(text))
        parts += [Text(), events, Text()]
        if self._view.counts:
            parts.append(_states(self._view.counts))
        if self._view.report is not None:
            parts.append(Text(_koji(self._view.report), style="grey70"))
        parts.append(_services(self._view))
        parts.append(Text("ctrl-C ends everything", style="grey50"))
        return Group(*parts)


def _states(counts: Mapping[PackageState, int]) -> Text:
    line = Text("packages  ")
    for state in PackageState:
        if counts.get(state):
            line.append(f"{counts[state]} {state}  ", style=COLORS[state])
    return line


def _koji(report: StatusReport) -> str:
    repos = ", ".join(
        f"{each.name}: repository {each.repo_id or 'none'}, buildroot {each.state}" for each in report.collections
    )
    return (
        f"{repos} · {len(report.running)} builds run, {report.queue} packages wait · "
        f"{report.outbox} events queued{'' if report.publishing else ' (no bus here)'}"
    )


def _services(view: View) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="grey50")
    for heading in ("service", "process", "restarts", "health", "last said"):
        table.add_column(heading)
    reports = {each.service: each for each in view.report.services} if view.report else {}
    for name, pid in view.processes.items():
        report = reports.get(name)
        health, words = "running" if pid else "down", ""
        if report is not None:
            health = report.health.value
            words = report.error or ", ".join(f"{k}: {v}" for k, v in (report.detail or {}).items())
        color = "green" if health in (Health.OK.value, "running") else "red"
        restarts = view.deaths.get(name, 0)
        table.add_row(
            name,
            str(pid or "-"),
            Text(str(restarts), style="red" if restarts else ""),
            Text(health, style=color),
            Text(words[:90], style="grey70"),
        )
    return table
