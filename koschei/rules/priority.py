"""How much a package deserves a build: a sum whose terms people can read.

    priority = manual + static + coefficient * (dependency + build + time)

A package is built when the sum reaches `build_threshold`. Elapsed time enters by its
logarithm: nothing at `t0` hours after the last build, the whole threshold at `t1`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Protocol

from koschei.errors import ConfigError
from koschei.rules.states import BuildState

TIME_FLOOR = -30.0
"""The elapsed time never counts less than this."""
SHORTEST_HOURS = 1e-6
"""Ages below this (a clock that went backwards, too) count as this: a logarithm needs a positive number."""
FAR_DISTANCE = 8
"""Dependencies at no known distance (removed ones, those of the build group) weigh as if they were this far."""
HORIZON_HOURS = 100 * 365.25 * 24
"""Whatever would be due later than this is never due."""


class WeightSettings(Protocol):
    """What `Weights.of` needs: the `priorities` section of the configuration fits."""

    @property
    def newly_added(self) -> int: ...
    @property
    def build_threshold(self) -> int: ...
    @property
    def package_update(self) -> int: ...
    @property
    def failed_build_priority(self) -> int: ...
    @property
    def t0(self) -> float: ...
    @property
    def t1(self) -> float: ...


@dataclass(frozen=True)
class Weights:
    """The numbers of the formula, under their configuration names; `t0` and `t1` are hours.

    Raises ConfigError when no curve through (`t0`, 0) and (`t1`, `build_threshold`) rises.
    """

    newly_added: int = 3000
    build_threshold: int = 256
    package_update: int = 256
    failed_build_priority: int = 200
    t0: float = 6.0
    t1: float = 168.0

    def __post_init__(self) -> None:
        if not 0 < self.t0 < self.t1 < math.inf:
            raise ConfigError(
                f"priorities.t0 ({self.t0}) must be above 0 and below priorities.t1 ({self.t1}): "
                "elapsed time begins to count at t0 and causes a build at t1"
            )
        if self.build_threshold <= 0:
            raise ConfigError(f"priorities.build_threshold ({self.build_threshold}) must be above 0")

    @classmethod
    def of(cls, settings: WeightSettings) -> Weights:
        """The weights of a configuration."""
        return cls(
            newly_added=settings.newly_added,
            build_threshold=settings.build_threshold,
            package_update=settings.package_update,
            failed_build_priority=settings.failed_build_priority,
            t0=settings.t0,
            t1=settings.t1,
        )

    @property
    def span(self) -> float:
        """Decimal orders of magnitude between `t0` and `t1`."""
        return math.log10(self.t1 / self.t0)


@dataclass(frozen=True)
class Term:
    """One summand of a priority: its name, what it adds, and why, in words."""

    name: str
    value: float
    explanation: str


def time_priority(hours: float, weights: Weights) -> float:
    """What `hours` since the last build was started are worth; at least -30, and safe for zero and negative hours.

    The same as a * log10(hours) + b with a = threshold / (log10(t1) - log10(t0)), b = -a * log10(t0), but written so
    that it is exactly 0 at t0 and exactly the threshold at t1.
    """
    magnitude = math.log10(max(SHORTEST_HOURS, hours) / weights.t0)
    return max(weights.build_threshold * (magnitude / weights.span), TIME_FLOOR)


def dependency_priority(distances: Iterable[int | None], weights: Weights) -> int:
    """What dependency changes at these distances are worth together, rounded towards zero.

    Each is worth `package_update` divided by its distance. Computed exactly: the order of the changes plays no part.
    """
    total = Fraction(0)
    for distance, count in Counter(distances).items():
        total += Fraction(weights.package_update * count, distance or FAR_DISTANCE)
    return int(total)


def build_priority_after(
    state: BuildState, previous: BuildState | None, weights: Weights, *, comparable: bool = True
) -> int:
    """The bonus left by a build that just finished as `state`: a first failure is to be confirmed soon.

    `previous`: state of the same package's previous counted build, None if there is none. `comparable`: False when it
    is known that nobody will know what it was made with, so that only a new build can be compared with. Raises
    ValueError if `state` is not counted: such a build leaves the priority as it was.
    """
    if not state.counted:
        raise ValueError(f"a {state.word} build does not count, so no bonus follows from it")
    if not comparable:
        return weights.newly_added
    if state is BuildState.FAILED and previous != BuildState.FAILED:
        return weights.failed_build_priority
    return 0


@dataclass(frozen=True)
class Priority:
    """The parts of a package's priority; `time` is `time_priority` of its age, `coefficient` the collection's."""

    manual: int
    static: int
    dependency: int
    build: int
    time: float
    coefficient: float

    @property
    def total(self) -> float:
        """The priority."""
        return self.manual + self.static + self.coefficient * (self.dependency + self.build + self.time)

    def reaches(self, weights: Weights) -> bool:
        """Whether it is enough for a build; the threshold itself is."""
        return self.total >= weights.build_threshold

    def terms(self) -> tuple[Term, ...]:
        """The summands, in a fixed order; together they are the total (up to floating-point rounding)."""
        return (
            Term("manual", self.manual, _explain_manual(self.manual)),
            Term("static", self.static, _explain_static(self.static)),
            self._scaled("dependency", self.dependency, _explain_dependency(self.dependency)),
            self._scaled("build", self.build, _explain_build(self.build)),
            self._scaled("time", self.time, _explain_time(self.time)),
        )

    def _scaled(self, name: str, value: float, explanation: str) -> Term:
        if value and self.coefficient != 1:
            explanation += f" ({value:.4g}, times the collection's coefficient {self.coefficient:g})"
        return Term(name, self.coefficient * value, explanation)


def hours_until_due(priority: Priority, hours: float, weights: Weights) -> float | None:
    """Hours from now until elapsed time alone brings the priority to the threshold; 0 if it is there, None if never.

    `hours`: age of the last build; it replaces `priority.time`. Never means not within a hundred years.
    """
    if replace(priority, time=time_priority(hours, weights)).reaches(weights):
        return 0.0
    if priority.coefficient <= 0:
        return None
    fixed, waited = priority.manual + priority.static, priority.dependency + priority.build
    needed = (weights.build_threshold - fixed) / priority.coefficient - waited
    exponent = needed / weights.build_threshold * weights.span
    if exponent >= math.log10(HORIZON_HOURS / weights.t0):
        return None
    return max(0.0, weights.t0 * 10**exponent - hours)


def _explain_manual(value: int) -> str:
    if not value:
        return "nobody asked for a build"
    return f"{'asked for' if value > 0 else 'put off'} by a person, until the build it causes has succeeded or failed"


def _explain_static(value: int) -> str:
    return "set by an operator, for good" if value else "no operator set any"


def _explain_dependency(value: int) -> str:
    return (
        "build dependencies changed since the last build" if value else "no build dependency is known to have changed"
    )


def _explain_build(value: int) -> str:
    if value:
        return "the last build began to fail or cannot be resolved any more, so a new one is wanted soon"
    return "the last build asks for nothing"


def _explain_time(value: float) -> str:
    if value > 0:
        return "time since the last build"
    return "the last build is recent"
