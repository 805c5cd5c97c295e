"""View models: what templates need beyond what the queries found. Pure but for `install`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from flask import Flask, request, url_for

from frontend import context, people
from koschei.config import Config
from koschei.koji import links as koji_links
from koschei.model import Build, KojiTask, Package
from koschei.queries.collections import Counts
from koschei.rules import evr
from koschei.rules.states import BuildState, PackageState
from koschei.rules.verdict import TaskState

# The order of segments in bars and of filters: what is wrong stands first.
SHOWN_STATES = (
    PackageState.FAILING,
    PackageState.UNRESOLVED,
    PackageState.UNKNOWN,
    PackageState.OK,
    PackageState.UNTRACKED,
    PackageState.BLOCKED,
)
TRACKED_STATES = SHOWN_STATES[:4]
BAR_WIDTH = 1000

MEANINGS = {
    "ok": "The last build succeeded, and its build dependencies can be installed",
    "failing": "The last build failed",
    "unresolved": "Its build dependencies cannot be installed",
    "unknown": "It was never built",
    "untracked": "Koschei does not test it",
    "blocked": "It is blocked in Koji",
    "running": "It is being built",
    "complete": "The build succeeded",
    "failed": "The build failed",
    "canceled": "Somebody or something cancelled the build: it says nothing about the package",
    "spoiled": "Koji broke down under the build: it says nothing about the package",
}
# Which icon and colour stand for a word that is not itself one.
LOOKS = {
    "complete": "ok",
    "failed": "failing",
    "closed": "ok",
    "open": "running",
    "free": "unknown",
    "assigned": "running",
    "canceled": "inconclusive",
    "spoiled": "inconclusive",
}


@dataclass(frozen=True)
class Segment:
    """A part of a bar, in thousandths of its width."""

    state: str
    count: int
    x: float
    width: float


def segments(counts: Mapping[PackageState, int], states: Sequence[PackageState] = TRACKED_STATES) -> list[Segment]:
    """A bar of states; what is there at all is wide enough to be seen."""
    present = [(state, counts.get(state, 0)) for state in states if counts.get(state, 0)]
    total = sum(count for _, count in present)
    least = 6.0
    widths = [max(least, BAR_WIDTH * count / total) for _, count in present]
    scale = BAR_WIDTH / sum(widths) if widths else 1
    result, x = [], 0.0
    for (state, count), width in zip(present, widths, strict=True):
        result.append(Segment(str(state), count, round(x, 1), round(width * scale, 1)))
        x += width * scale
    return result


def total(counts: Counts) -> int:
    """How many packages there are in all states."""
    return sum(counts.values())


def sparkline(values: Sequence[int], width: int = 120, height: int = 24) -> str:
    """Points of a line through the values, from oldest to newest, zero at the bottom when it is near."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    span = max(high - low, 1)
    step = width / (len(values) - 1)
    inner = height - 4
    if high == low:
        return f"0,{height / 2:g} {width},{height / 2:g}"
    return " ".join(f"{i * step:.1f},{height - 2 - inner * (value - low) / span:.1f}" for i, value in enumerate(values))


# Fewer builds are seen as well in the list below the chart.
FEWEST_BARS = 5


@dataclass(frozen=True)
class Bar:
    """A build in the chart of a package's history."""

    build: Build
    x: float
    y: float
    height: float
    took: timedelta

    @property
    def word(self) -> str:
        """How the build ended."""
        return self.build.state.word


def history_chart(builds: Sequence[Build], now: datetime, height: int = 48, step: int = 22) -> list[Bar]:
    """Builds from oldest to newest; the taller, the longer they took. None when there are few."""
    if len(builds) < FEWEST_BARS:
        return []
    ended = [(build, max(build_duration(build, now), timedelta(0))) for build in reversed(builds)]
    longest = max(took for _, took in ended) or timedelta(1)
    bars = []
    for position, (build, took) in enumerate(ended):
        tall = max(5.0, height * (took / longest))
        bars.append(Bar(build, position * step, round(height - tall, 1), round(tall, 1), took))
    return bars


def build_duration(build: Build | KojiTask, now: datetime) -> timedelta:
    """How long it took, or has been taking."""
    return (build.finished or now) - build.started


def failed_tasks(tasks: Iterable[KojiTask]) -> list[KojiTask]:
    """The tasks that failed; Koji cancels the others when one does."""
    return [task for task in tasks if task.state == TaskState.FAILED]


def task_word(task: KojiTask) -> str:
    """The state of a task in a word."""
    return TaskState(task.state).name.lower()


def distance_words(distance: int | None) -> str:
    """How far a dependency is from the package, in words."""
    if distance is None:
        return "–"
    return "direct" if distance == 1 else str(distance)


def arch_words(override: str | None) -> str:
    """The architectures that a package is built on, as its override has it (None or empty: it has none)."""
    if not override:
        return "as its source package and the build tag say"
    names = ", ".join(override.removeprefix("^").split())
    return f"all that its source package and the build tag say, but {names}" if override[0] == "^" else f"only {names}"


def fault_words(build: Build) -> str:
    """Why a build tells nothing about its package."""
    text = (build.fault_text or "").strip()
    code = f"fault {build.fault_code}" if build.fault_code is not None else ""
    if text and code:
        return f"{text} ({code})"
    return text or code or "Koji gave no reason"


@dataclass(frozen=True)
class PriorityBar:
    """A term of a priority; the bar's offset and width are in thousandths of the scale."""

    name: str
    value: float
    explanation: str
    x: float
    width: float


def priority_bars(terms: Iterable[Any], threshold: float) -> list[PriorityBar]:
    """Terms as bars on one scale, on which the threshold is at most full width."""
    found = list(terms)
    scale = max([threshold, *(abs(term.value) for term in found)]) or 1
    return [
        PriorityBar(
            term.name, term.value, term.explanation, 0.0, round(BAR_WIDTH * min(1.0, abs(term.value) / scale), 1)
        )
        for term in found
    ]


TERM_ORDER = ("manual", "static", "dependency", "build", "time")


def submitted_terms(submission: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The terms of the priority that a build was submitted with, those that are not zero, in their fixed order."""
    found = submission.get("priority")
    if not isinstance(found, Mapping):
        return []
    terms = [(name, found.get(name)) for name in TERM_ORDER]
    return [(name, float(value)) for name, value in terms if isinstance(value, int | float) and value]


PLACEHOLDER = re.compile(r"\{([a-z_.]+)\}")


def external_links(config: Config, package: Package) -> list[tuple[str, str]]:
    """Names and addresses of other services' pages about a package; one that needs a missing value is left out."""

    def value(match: re.Match[str]) -> str:
        # The only setting that a link may show: others are secret.
        if match[1] == "koji_config.weburl":
            return config.koji_config.weburl.rstrip("/")
        return quote(_attribute(package, match[1]), safe="")

    result = []
    for name, template in config.links.items():
        try:
            address = PLACEHOLDER.sub(value, template)
        except LookupError:
            continue
        result.append((name, address))
    return result


def _attribute(package: Package, path: str) -> str:
    """The value of `package.a.b`. Raises LookupError when there is none."""
    first, *rest = path.split(".")
    value: Any = package if first == "package" else None
    for part in rest:
        value = None if part.startswith("_") else getattr(value, part, None)
    if value is None:
        raise LookupError(path)
    return str(value)


def build_version(build: Build) -> str:
    """The version of what was built."""
    return evr.display(build.epoch, build.version, build.release)


def build_link(build: Build, package: Package) -> str | None:
    """Koji's page about a build; None before Koji has given it a task."""
    config = context.frontend().config.koji_config
    if build.real:
        return koji_links.build_search_url(config, f"{package.name}-{build.version}-{build.release}")
    return None if build.task_id is None else koji_links.task_url(config, build.task_id)


def task_link(task_id: int) -> str:
    """Koji's page about a task."""
    return koji_links.task_url(context.frontend().config.koji_config, task_id)


def log_link(task_id: int, name: Any) -> str:
    """A log of a task."""
    return koji_links.log_url(context.frontend().config.koji_config, task_id, name)


def with_arguments(**changes: str | None) -> str:
    """This page with other arguments; None takes one away. A list starts again at its beginning."""
    kept = {k: v for k, v in request.args.items(multi=False) if k not in context.CURSOR_ARGUMENTS}
    return url_for(request.endpoint or "overview.overview", **{**(request.view_args or {}), **kept, **changes})


def install(app: Flask) -> None:
    """Make them known to templates."""
    helpers = (
        segments, total, sparkline, history_chart, build_duration, failed_tasks, task_word, distance_words, arch_words,
        fault_words, priority_bars, build_version, build_link, task_link, log_link,
        with_arguments,
    )  # fmt: skip
    app.jinja_env.globals.update({function.__name__: function for function in helpers})
    app.jinja_env.globals.update(
        MEANINGS=MEANINGS,
        LOOKS=LOOKS,
        BuildState=BuildState,
        PackageState=PackageState,
        SHOWN_STATES=SHOWN_STATES,
        TRACKED_STATES=TRACKED_STATES,
        choice=context.choice,
        person=people.person,
        now=context.now,
    )
