"""Charts: scales that can be read, shapes that stay inside, gaps where nothing is known."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from frontend import charts, statistics_charts
from frontend.charts import HEIGHT, WIDTH, About, Chart, Series
from frontend.statistics_charts import MINUTES
from koschei.queries.statistics import Period, Times
from koschei.rules.states import PackageState

VALUES = st.lists(st.none() | st.integers(0, 10**9), min_size=1, max_size=40)


def chart(kind: str, *values: list[float | None]) -> Chart:
    series = [Series(f"series {number}", "fill-ok", one) for number, one in enumerate(values)]
    about = About("Title", "In words", [f"label {number}" for number in range(len(values[0]))])
    drawn: Chart = getattr(charts, kind)(about, series)
    return drawn


def corners(found: Chart) -> list[list[tuple[float, float]]]:
    return [
        [tuple(map(float, point.split(","))) for point in shape.points.split()]  # type: ignore[misc]
        for shape in (*found.areas, *found.lines)
    ]


@given(st.floats(0, 1e12), st.sampled_from([charts.COUNTS, MINUTES]))
def test_a_scale_reaches_the_highest_value_and_is_not_much_longer(highest: float, steps: tuple[float, ...]) -> None:
    limit = charts.top(highest, steps)
    assert limit >= highest
    assert limit <= max(10.0, 2.5 * highest)


@given(VALUES, st.sampled_from(["areas", "lines", "bars"]))
def test_shapes_stay_inside(values: list[float | None], kind: str) -> None:
    found = chart(kind, values, values)
    for x, y in (point for shape in corners(found) for point in shape):
        assert -WIDTH / 3 <= x <= WIDTH * 4 / 3
        assert -0.1 <= y <= HEIGHT + 0.1
    for bar in found.bars:
        assert bar.x >= 0
        assert bar.y >= -0.1
        assert bar.x + bar.width <= WIDTH + 0.1
    assert len(found.columns) == len(values)


def test_bars_stand_on_each_other() -> None:
    found = chart("bars", [1, None], [3, 4])
    assert [(bar.y, bar.height) for bar in found.bars] == [(75.0, 25.0), (0.0, 75.0), (0.0, 100.0)]
    assert found.ticks == ["4", "2", "0"]


def test_where_nothing_is_known_there_is_a_gap() -> None:
    assert len(corners(chart("areas", [1, 2, None, 3, 4]))) == 2
    assert [len(line) for line in corners(chart("lines", [1, 2, None, 3]))] == [2, 2]
    assert chart("lines", [None, None]).empty
    assert not chart("lines", [None, 1]).empty


def test_what_is_said_of_a_place_names_all_that_is_known() -> None:
    found = chart("lines", [1, None], [2000, None])
    assert [column.words for column in found.columns] == [
        "label 0: 1 series 0, 2\u202f000 series 1",
        "label 1: not known",
    ]
    assert found.cell(found.series[0], 1) == "–"


def test_a_table_may_have_more_than_is_drawn() -> None:
    about = About("Title", "In words", ["old", "new"])
    found = charts.areas(about, [Series("bad", "fill-failing", [1, 2])], [Series("ok", "", [None, 1000])])
    assert found.ticks == ["2", "1", "0"]
    assert found.rows == [("new", [("bad", "2"), ("ok", "1\u202f000")]), ("old", [("bad", "1"), ("ok", "–")])]


def test_nothing_that_is_tracked_is_not_called_ok() -> None:
    period = Period(date(2026, 5, 14), 2)
    said = {
        ("No package was tracked.", PackageState.UNTRACKED),
        ("All tracked packages were ok all the time.", PackageState.OK),
    }
    for words, state in said:
        assert words in statistics_charts.states(period, [Times(), Times(counts={state: 3})]).about.words
