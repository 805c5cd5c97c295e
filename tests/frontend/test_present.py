"""View models."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from frontend import present
from koschei.config import Config, KojiConfig
from koschei.model import Build, Collection, Package
from koschei.rules.priority import Priority
from koschei.rules.states import BuildState, PackageState
from koschei.rules.verdict import TaskState
from tests.world import NOW, ago


@given(st.dictionaries(st.sampled_from(present.TRACKED_STATES), st.integers(0, 10**6)))
def test_a_bar_is_full_and_shows_whatever_there_is(counts: dict[PackageState, int]) -> None:
    parts = present.segments(counts)
    assert {part.state: part.count for part in parts} == {str(state): count for state, count in counts.items() if count}
    assert all(part.width > 3 for part in parts)
    if parts:
        assert abs(parts[-1].x + parts[-1].width - present.BAR_WIDTH) < 1
        assert parts[0].x == 0


@given(st.lists(st.integers(0, 5000), min_size=2, max_size=30))
def test_a_sparkline_stays_in_its_box(values: list[int]) -> None:
    points = [tuple(map(float, point.split(","))) for point in present.sparkline(values).split()]
    assert points[0][0] == 0
    assert points[-1][0] == 120
    assert all(0 <= y <= 24 for _, y in points)


def test_builds_in_the_chart_go_from_old_to_new_and_are_as_tall_as_long() -> None:
    builds = [
        Build(state=BuildState.COMPLETE, started=ago(hours), finished=ago(hours - took))
        for hours, took in ((10, 1), (20, 4), (30, 2), (40, 0), (50, 4))
    ]
    bars = present.history_chart(builds, NOW)
    assert [bar.build for bar in bars] == builds[::-1]
    assert [bar.height for bar in bars] == [48, 5, 24, 48, 12]
    assert max(bar.took for bar in bars) == timedelta(hours=4)


def test_a_few_builds_need_no_chart() -> None:
    builds = [Build(state=BuildState.COMPLETE, started=ago(hours), finished=ago(hours - 1)) for hours in range(2, 6)]
    assert present.history_chart(builds, NOW) == []
    at_once = [Build(state=BuildState.COMPLETE, started=NOW, finished=NOW)] * 5
    assert {bar.height for bar in present.history_chart(at_once, NOW)} == {5}


def test_a_link_to_another_service_is_left_out_when_it_needs_what_is_missing() -> None:
    package = Package(name="c++ & co", collection=Collection(bugzilla_product="Fedora EPEL"))
    templates = {
        "Plain": "https://example.org/{package.name}",
        "Bugs": "https://example.org/?p={package.collection.bugzilla_product}&c={package.name}",
        "Version": "https://example.org/{package.collection.bugzilla_version}",
        "Private": "https://example.org/{package.__class__}",
        "Other": "https://example.org/{config.secret}",
        "Secret": "https://example.org/{koji_config.login_args}",
    }
    assert present.external_links(Config(links=templates), package) == [
        ("Plain", "https://example.org/c%2B%2B%20%26%20co"),
        ("Bugs", "https://example.org/?p=Fedora%20EPEL&c=c%2B%2B%20%26%20co"),
    ]


def test_a_package_is_linked_to_its_page_in_koji() -> None:
    config = Config(koji_config=KojiConfig(weburl="https://koji.example.org/koji/"))
    found = present.external_links(config, Package(name="c++", collection=Collection()))
    assert [name for name, _ in found] == ["Packages", "Bodhi", "Dist-git", "Koji"]
    assert found[-1][1] == "https://koji.example.org/koji/search?match=exact&type=package&terms=c%2B%2B"


def test_terms_of_a_priority_are_bars_on_one_scale() -> None:
    priority = Priority(manual=0, static=-64, dependency=512, build=0, time=128, coefficient=1)
    widths = {bar.name: bar.width for bar in present.priority_bars(priority.terms(), 256)}
    assert widths == {"manual": 0, "static": 125, "dependency": 1000, "build": 0, "time": 250}


def test_the_terms_of_a_submission_may_be_anything() -> None:
    assert present.submitted_terms({"priority": {"time": 38.4, "manual": 0, "dependency": 256}}) == [
        ("dependency", 256),
        ("time", 38.4),
    ]
    for odd in ({}, {"priority": None}, {"priority": [1]}, {"priority": {"time": "<b>"}}):
        assert present.submitted_terms(odd) == []


def test_every_word_for_a_state_has_a_look() -> None:
    icons = ("ok", "failing", "unresolved", "running", "blocked", "untracked", "unknown", "inconclusive")
    words = [str(state) for state in PackageState] + [state.word for state in BuildState]
    words += [state.name.lower() for state in TaskState]
    assert {present.LOOKS.get(word, word) for word in words} <= set(icons)
