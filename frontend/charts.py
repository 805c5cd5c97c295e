"""Charts as SVG that the server draws: shapes without scripts or styles, words for those who cannot see them.

A chart's shapes are stretched to whatever room there is, so its labels are text beside it: templates/charts.html has
both, and the table with the same figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from frontend.filters import number

WIDTH, HEIGHT = 1000, 100
COUNTS = (1, 2, 4, 6, 8, 10)
"""The scale of a chart ends at one of these times a power of ten: its half is a round number, too."""


@dataclass(frozen=True)
class Series:
    """What is shown of one kind: its name, the look of its shapes (a class of koschei.css), a value for each label.

    None is for what is not known.
    """

    name: str
    look: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class About:
    """What a chart is about: its title, all of it in words, and its labels, of which `ends` stand below it.

    `head` is what the labels are, and `write` puts a value into words.
    """

    title: str
    words: str
    labels: Sequence[str]
    ends: Sequence[str] = ()
    head: str = "Day"
    write: Callable[[float], str] = number


@dataclass(frozen=True)
class Bar:
    """A rectangle."""

    look: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Shape:
    """The corners of an area, or the points of a line."""

    look: str
    points: str


@dataclass(frozen=True)
class Column:
    """The room of one label, over which a reader may hold the mouse, and what is said then."""

    x: float
    width: float
    words: str


@dataclass(frozen=True)
class Chart:
    """A drawn chart; `ticks` are from the top to zero, `beside` is what only its table shows."""

    about: About
    series: Sequence[Series]
    ticks: Sequence[str]
    columns: Sequence[Column]
    bars: Sequence[Bar] = ()
    areas: Sequence[Shape] = ()
    lines: Sequence[Shape] = ()
    beside: Sequence[Series] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is known that it could show."""
        return not any(value for series in self.series for value in series.values)

    @property
    def rows(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """The table: each label, newest first, with the names and values of all series."""
        every = [*self.series, *self.beside]
        places = reversed(list(enumerate(self.about.labels)))
        return [(label, [(one.name, self.cell(one, position)) for one in every]) for position, label in places]

    def cell(self, series: Series, position: int) -> str:
        """A value as text."""
        value = series.values[position]
        return "–" if value is None else self.about.write(value)


def top(highest: float, steps: Sequence[float] = COUNTS, least: float = 2) -> float:
    """Where a scale ends that must reach `highest`."""
    highest = max(highest, least)
    power = 1.0
    while True:
        for step in steps:
            if step * power >= highest and step * power >= least:
                return step * power
        power *= 10


def bars(about: About, series: Sequence[Series]) -> Chart:
    """Values on top of each other, a bar for each label."""
    limit = top(_highest(series))
    step = WIDTH / max(1, len(about.labels))
    gap = 0.12 * step
    drawn = []
    for position in range(len(about.labels)):
        level = 0.0
        for one in series:
            value = one.values[position] or 0
            if value:
                tall = HEIGHT * value / limit
                level += tall
                drawn.append(Bar(one.look, _r(position * step + gap), _r(HEIGHT - level), _r(step - 2 * gap), _r(tall)))
    return Chart(about, series, _ticks(about, limit), _columns(about, series), bars=drawn)


def areas(about: About, series: Sequence[Series], beside: Sequence[Series] = ()) -> Chart:
    """Values on top of each other, as areas over time; where nothing is known there is a gap."""
    limit = top(_highest(series))
    step = WIDTH / max(1, len(about.labels) - 1)
    drawn = []
    for begin, end in _known(series, len(about.labels)):
        below = [0.0] * (end - begin)
        for one in series:
            above = [low + (one.values[begin + i] or 0) for i, low in enumerate(below)]
            corners = [(begin + i, value) for i, value in enumerate(above)]
            corners += [(begin + i, value) for i, value in reversed(list(enumerate(below)))]
            if above != below:
                points = " ".join(f"{_r(x * step)},{_r(HEIGHT - HEIGHT * y / limit)}" for x, y in corners)
                drawn.append(Shape(one.look, points))
            below = above
    return Chart(about, series, _ticks(about, limit), _columns(about, series), areas=drawn, beside=beside)


def lines(about: About, series: Sequence[Series], *, steps: Sequence[float] = COUNTS, least: float = 2) -> Chart:
    """Values beside each other, as lines; where nothing is known there is a gap."""
    highest = max((value for one in series for value in one.values if value is not None), default=0)
    limit = top(highest, steps, least)
    step = WIDTH / max(1, len(about.labels))
    drawn = []
    for one in series:
        for begin, end in _known([one], len(about.labels)):
            known = [(i, one.values[i] or 0) for i in range(begin, end)]
            points = [((i + 0.5) * step, HEIGHT - HEIGHT * value / limit) for i, value in known]
            if len(points) == 1:  # a line of no length is not seen
                (x, y) = points[0]
                points = [(x - step / 3, y), (x + step / 3, y)]
            drawn.append(Shape(one.look, " ".join(f"{_r(x)},{_r(y)}" for x, y in points)))
    return Chart(about, series, _ticks(about, limit), _columns(about, series), lines=drawn)


def day_word(day: date) -> str:
    """A day, short: `14 May`."""
    return f"{day.day} {day:%b}"


def _ticks(about: About, limit: float) -> list[str]:
    return [about.write(limit), about.write(limit / 2), about.write(0)]


def _columns(about: About, series: Sequence[Series]) -> list[Column]:
    step = WIDTH / max(1, len(about.labels))
    columns = []
    for position, label in enumerate(about.labels):
        known = [(one.name, one.values[position]) for one in series]
        said = ", ".join(f"{about.write(value)} {name}" for name, value in known if value is not None)
        columns.append(Column(_r(position * step), _r(step), f"{label}: {said or 'not known'}"))
    return columns


def _highest(series: Sequence[Series]) -> float:
    """The highest sum of values at one place."""
    places = zip(*(one.values for one in series), strict=True)
    return max((sum(value or 0 for value in values) for values in places), default=0)


def _known(series: Sequence[Series], length: int) -> list[tuple[int, int]]:
    """The stretches (first position, behind the last) in which something is known."""
    stretches, begin = [], None
    for position in range(length + 1):
        known = position < length and any(one.values[position] is not None for one in series)
        if known and begin is None:
            begin = position
        if not known and begin is not None:
            stretches.append((begin, position))
            begin = None
    return stretches


def _r(value: float) -> float:
    return round(value, 1)
