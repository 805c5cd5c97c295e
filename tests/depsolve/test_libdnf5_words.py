"""What the engine `libdnf5` does with texts, which needs no libdnf5. The rest: the contract, by `make test-libdnf5`."""

from __future__ import annotations

from xml.etree import ElementTree

from koschei.depsolve.libdnf5_base import COMMON, asking_for
from koschei.depsolve.libdnf5_engine import paths_in, sentences

TWO_PROBLEMS = (
    "Problem 1: conflicting requests\n"
    "  - nothing provides x needed by a-1-1.noarch from koschei:repository\n"
    "Problem 2: package b-1-1.noarch from koschei:repository conflicts with c provided by c-1-1.noarch from "
    "koschei:repository\n  - conflicting requests"
)


def test_problems_are_told_apart_and_name_no_repository() -> None:
    assert sentences(TWO_PROBLEMS, "pkg") == [
        "Problem: conflicting requests\n - nothing provides x needed by a-1-1.noarch",
        "Problem: package b-1-1.noarch conflicts with c provided by c-1-1.noarch\n - conflicting requests",
    ]


def test_a_request_that_nobody_meets_is_said_to_be_the_source_packages() -> None:
    assert sentences("Problem: nothing provides requested (x or y)", "pkg") == [
        "Problem: nothing provides (x or y) needed by pkg.src"
    ]


def test_files_are_found_in_requests_however_deep_and_garbage_is_left_alone() -> None:
    assert paths_in([["/usr/bin/a", "gcc", "( /b"], ["(x and (/c if /d))", "perl(A/B)"]]) == {"/usr/bin/a", "/c", "/d"}


def test_paths_with_markup_in_them_are_asked_for_as_they_are() -> None:
    paths = {'/a"b', "/a<b>&", "/c"}
    entries = ElementTree.fromstring(asking_for(paths)).iter(f"{{{COMMON.replace('common', 'rpm')}}}entry")
    assert {entry.get("name") for entry in entries} == paths
