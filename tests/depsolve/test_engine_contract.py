"""What every engine must answer. The semantics are Koji's: an empty system, the build group, and the BuildRequires."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from koschei.depsolve import Answer, Nevra, RepositoryCache, Resolver, engine
from koschei.errors import ConfigError, RepositoryBroken
from tests.depsolve.repositories import Rpm
from tests.depsolve.worlds import worlds

Installs = Callable[..., set[str]]
Resolve = Callable[..., Answer]
Open = Callable[..., Resolver]


def test_a_build_requirement_brings_what_it_requires(installs: Installs) -> None:
    rpms = [Rpm("a-1-1.x86_64", requires=["b >= 2"]), Rpm("b-2-1.noarch", requires=["libc.so.6"])]
    rpms += [Rpm("glibc-1-1.x86_64", provides=["libc.so.6"]), Rpm("unrelated-1-1.noarch")]
    assert installs(rpms, ["a"]) == {"a", "b", "glibc"}


def test_the_base_buildroot_is_the_group_and_missing_entries_are_skipped(open_resolver: Open) -> None:
    rpms = [Rpm("bash-1-1.x86_64", requires=["glibc"]), Rpm("glibc-1-1.x86_64"), Rpm("a-1-1.noarch")]
    resolver = open_resolver(rpms, {"pkg": ["a"], "none": []}, group=["bash", "no-such-thing", "(bash"])
    assert {str(package) for package in resolver.base().installed} == {"bash-1-1.x86_64", "glibc-1-1.x86_64"}
    assert resolver.resolve("none") == resolver.base()
    assert {package.name for package in resolver.resolve("pkg").installed} == {"a", "bash", "glibc"}


def test_an_empty_group_in_an_empty_repository_is_an_empty_buildroot(open_resolver: Open) -> None:
    assert open_resolver([], {}).base() == Answer(True, (), frozenset())


def test_a_base_buildroot_that_cannot_be_made_says_why(open_resolver: Open) -> None:
    resolver = open_resolver([Rpm("bash-1-1.x86_64", requires=["glibc"])], {}, group=["bash"])
    expected = "Problem: conflicting requests\n - nothing provides glibc needed by bash-1-1.x86_64"
    assert resolver.base() == Answer(False, (expected,), frozenset())


def test_a_requirement_nobody_provides_is_a_problem_beside_the_others(resolve: Resolve) -> None:
    answer = resolve([Rpm("bar-1-1.fc22.x86_64", requires=["nonexistent"])], ["nope >= 3", "bar", "/no/such/file"])
    assert answer == Answer(
        False,
        (
            "No package found for: /no/such/file",
            "No package found for: nope >= 3",
            "Problem: conflicting requests\n - nothing provides nonexistent needed by bar-1-1.fc22.x86_64",
        ),
        frozenset(),
    )


def test_independent_problems_are_told_apart(resolve: Resolve) -> None:
    answer = resolve([Rpm("a-1-1.noarch", requires=["x"]), Rpm("b-1-1.noarch", requires=["y"])], ["b", "a"])
    assert answer.problems == (
        "Problem: conflicting requests\n - nothing provides x needed by a-1-1.noarch",
        "Problem: conflicting requests\n - nothing provides y needed by b-1-1.noarch",
    )


def test_packages_that_conflict_cannot_be_installed_together(resolve: Resolve) -> None:
    answer = resolve([Rpm("a-1-1.noarch", conflicts=["b"]), Rpm("b-1-1.noarch")], ["a", "b"])
    (problem,) = answer.problems
    assert "package a-1-1.noarch conflicts with b provided by b-1-1.noarch" in problem
    assert "conflicting requests" in problem


def test_an_obsoleted_package_cannot_be_installed_beside_its_successor(resolve: Resolve) -> None:
    rpms = [Rpm("new-2-1.noarch", obsoletes=["old < 2"]), Rpm("old-1-1.noarch"), Rpm("old-3-1.x86_64")]
    assert {str(p) for p in resolve(rpms, ["new", "old"]).installed} == {"new-2-1.noarch", "old-3-1.x86_64"}
    answer = resolve(rpms[:2], ["new", "old"])
    assert any("package new-2-1.noarch obsoletes old < 2 provided by old-1-1.noarch" in p for p in answer.problems)


def test_of_several_versions_the_newest_that_fits_is_installed(resolve: Resolve) -> None:
    rpms = [Rpm(f"a-{version}-1.noarch") for version in ("1.9", "1.10", "1:0.5", "2")]
    assert {str(p) for p in resolve(rpms, ["a"]).installed} == {"a-1:0.5-1.noarch"}
    assert {str(p) for p in resolve(rpms, ["a < 1:0"]).installed} == {"a-2-1.noarch"}
    assert {str(p) for p in resolve(rpms, ["a < 2"]).installed} == {"a-1.10-1.noarch"}
    assert {str(p) for p in resolve(rpms, ["a = 0:1.9"]).installed} == {"a-1.9-1.noarch"}
    assert resolve(rpms, ["a > 1:1"]).problems == ("No package found for: a > 1:1",)


def test_an_epoch_is_part_of_the_answer(resolve: Resolve) -> None:
    assert resolve([Rpm("a-3:1-2.x86_64")], ["a"]).installed == {Nevra("a", 3, "1", "2", "x86_64")}


def test_packages_of_other_architectures_and_sources_do_not_count(
    resolve: Resolve,
    installs: Installs,
) -> None:
    rpms = [Rpm("a-2-1.aarch64"), Rpm("a-1-1.x86_64"), Rpm("b-1-1.s390x"), Rpm("c-1-1.src")]
    assert {str(p) for p in resolve(rpms, ["a"]).installed} == {"a-1-1.x86_64"}
    assert {str(p) for p in resolve(rpms, ["a"], arch="aarch64").installed} == {"a-2-1.aarch64"}
    assert resolve(rpms, ["b", "c"]).problems == ("No package found for: b", "No package found for: c")


def test_a_better_architecture_wins_over_a_compatible_one(resolve: Resolve) -> None:
    rpms = [Rpm("a-1-1.i686"), Rpm("a-1-1.x86_64")]
    assert {str(p) for p in resolve(rpms, ["a"]).installed} == {"a-1-1.x86_64"}


def test_virtual_provides_have_versions(resolve: Resolve, installs: Installs) -> None:
    rpms = [Rpm("a-9-1.noarch", provides=["pkgconfig(a) = 1.5"])]
    assert installs(rpms, ["pkgconfig(a) >= 1.5"]) == {"a"}
    assert resolve(rpms, ["pkgconfig(a) > 1.5"]).problems == ("No package found for: pkgconfig(a) > 1.5",)


def test_a_package_provides_itself_even_if_the_metadata_forgets(installs: Installs) -> None:
    assert installs([Rpm("a-1-1.noarch", self_provides=False)], ["a = 1-1"]) == {"a"}


@pytest.mark.parametrize(("weak", "expected"), [(False, {"a"}), (True, {"a", "recommended", "supplement"})])
def test_weak_dependencies_are_installed_only_if_wanted(installs: Installs, weak: bool, expected: set[str]) -> None:
    rpms = [Rpm("a-1-1.noarch", recommends=["recommended", "absent"]), Rpm("recommended-1-1.noarch")]
    rpms.append(Rpm("supplement-1-1.noarch", supplements=["a"]))
    assert installs(rpms, ["a"], weak=weak) == expected


ONE = ["x", "y", "z"]


@pytest.mark.parametrize("weak", [False, True])
@pytest.mark.parametrize(
    ("available", "text", "expected"),
    [
        (ONE, "(x and y)", {"x", "y"}),
        (["y"], "(x or y)", {"y"}),
        (["y"], "(y if x)", set()),
        (["y"], "(y if nowhere)", set()),
        (ONE, "(y if base)", {"y"}),
        (ONE, "(y if base else z)", {"y"}),
        (ONE, "(y if nowhere else z)", {"z"}),
        (ONE, "(y unless nowhere)", {"y"}),
        (ONE, "(y unless base else z)", {"z"}),
        (ONE, "(y unless nowhere else z)", {"y"}),
        (ONE, "(nowhere or (x and (z if base)))", {"x", "z"}),
        (ONE, "(virtual >= 1 with virtual < 2)", {"v1"}),
        (ONE, "(virtual without w2)", {"v1"}),
        (ONE, "((virtual >= 2 with w2) and y)", {"v2", "y"}),
        (ONE, "(nowhere if alsonowhere)", set()),
        (ONE, "(/opt/deep/file and x)", {"deep", "x"}),
        (ONE, "(x)", {"x"}),
    ],
)
def test_rich_requirements(
    installs: Installs, available: Sequence[str], text: str, expected: set[str], weak: bool
) -> None:
    rpms = [Rpm(f"{name}-1-1.noarch") for name in [*available, "base"]]
    rpms += [Rpm("v1-1-1.noarch", provides=["virtual = 1"]), Rpm("v2-1-1.noarch", provides=["virtual = 2", "w2"])]
    rpms += [Rpm("deep-1-1.noarch", files=["/opt/deep/file"])]
    assert installs(rpms, [text], group=["base"], weak=weak) - {"base"} == expected


@pytest.mark.parametrize(
    "text", ["(x or y)", "(x and base)", "(x if base)", "(base with x)", "(x unless y)", "(x if y else x)"]
)
def test_an_unsatisfiable_rich_requirement_is_a_problem(resolve: Resolve, text: str) -> None:
    """Today's Koschei leaves such a requirement out and calls the package resolved; that is one of its oldest bugs."""
    (problem,) = resolve([Rpm("base-1-1.noarch")], [text], group=["base"]).problems
    assert text in problem or "nothing provides x needed by pkg.src" in problem
    if text == "(x or y)":
        assert problem == "Problem: nothing provides (x or y) needed by pkg.src"


def test_rich_requirements_of_packages_count_too(installs: Installs) -> None:
    rpms = [Rpm("a-1-1.noarch", requires=["(b if c)"]), Rpm("b-1-1.noarch"), Rpm("c-1-1.noarch")]
    assert installs(rpms, ["a"]) == {"a"}
    assert installs(rpms, ["a", "c"]) == {"a", "b", "c"}


@pytest.mark.parametrize("path", ["/usr/bin/tool", "/usr/share/deep/data"])
def test_files_are_found_in_primary_and_in_file_lists(installs: Installs, path: str) -> None:
    rpms = [Rpm("tool-1-1.noarch", files=["/usr/bin/tool", "/usr/share/deep/data"])]
    rpms.append(Rpm("user-1-1.noarch", requires=[path]))
    assert installs(rpms, [path]) == {"tool"}
    assert installs(rpms, ["user"]) == {"tool", "user"}
    assert installs(rpms, [f"({path} and user)"]) == {"tool", "user"}
    assert installs(rpms, [], group=[path]) == {"tool"}


def test_a_file_that_is_nowhere_or_in_no_list_is_a_problem(resolve: Resolve) -> None:
    rpms = [Rpm("tool-1-1.noarch", files=["/usr/share/deep/data"])]
    assert resolve(rpms, ["/usr/share/deep"]).problems == ("No package found for: /usr/share/deep",)
    missing = resolve(rpms, ["/usr/share/deep/data"], filelists=False).problems
    assert missing == ("No package found for: /usr/share/deep/data",)


GARBAGE = ["", " ", "(", "(a or", "(a or b))", "a b c", "a >> 1", "\x00", "(" * 50_000, "é\ud7ff>", "a" * 70_000]


@pytest.mark.parametrize("text", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_a_problem_of_that_request_alone(open_resolver: Open, text: str) -> None:
    resolver = open_resolver([Rpm("a-1-1.noarch")], {"bad": [text, "a"], "good": ["a"]})
    bad = resolver.resolve("bad")
    assert not bad.resolved
    assert len(bad.problems) == 1
    assert bad.problems[0].startswith(("Malformed BuildRequires: ", "No package found for: "))
    assert len(bad.problems[0]) < 500
    assert resolver.resolve("good").resolved
    assert resolver.distances("bad") == {"a": 1}


def test_a_requirement_that_expands_with_the_repository_is_refused(resolve: Resolve) -> None:
    rpms = [Rpm(f"p{n}-1-1.noarch", provides=["many", "more", "most"]) for n in range(60)] + [Rpm("x-1-1.noarch")]
    (problem,) = resolve(rpms, ["(x if (many and more and most))"]).problems
    assert "too many combinations" in problem


def test_distances_are_steps_over_requires_from_the_build_requirements(open_resolver: Open) -> None:
    chain = [Rpm(f"p{n}-1-1.noarch", requires=[f"p{n + 1}"]) for n in range(1, 6)]
    rpms = [
        *chain,
        Rpm("p6-1-1.noarch"),
        Rpm("base-1-1.noarch", requires=["p2"]),
        Rpm("alt-1-1.noarch", provides=["p3"]),
    ]
    requests = {"one": ["p1"], "two": ["(nowhere or p1)", "p4"], "none": [], "if": ["(p5 if p1)"]}
    resolver = open_resolver(rpms, requests, group=["base"])
    assert resolver.distances("one") == {"p1": 1, "p2": 2, "p3": 3, "alt": 3, "p4": 4}
    assert resolver.distances("two") == {"p1": 1, "p2": 2, "p3": 3, "alt": 3, "p4": 1, "p5": 2, "p6": 3}
    assert resolver.distances("none") == {}
    assert resolver.distances("if") == {"p5": 1, "p6": 2}


def test_requires_of_scriptlets_count(open_resolver: Open) -> None:
    """libsolv keeps them apart from the others; forgetting them was a mistake once made."""
    rpms = [Rpm("a-1-1.noarch", requires=["z"], requires_pre=["b"]), Rpm("z-1-1.noarch")]
    rpms += [Rpm("b-1-1.noarch", requires_pre=["/usr/bin/c"]), Rpm("c-1-1.noarch", files=["/usr/bin/c"])]
    resolver = open_resolver(rpms, {"pkg": ["a"]})
    assert resolver.distances("pkg") == {"a": 1, "b": 2, "z": 2, "c": 3}
    assert {package.name for package in resolver.resolve("pkg").installed} == {"a", "b", "c", "z"}


def test_what_cannot_be_resolved_leaves_other_answers_alone(open_resolver: Open) -> None:
    rpms = [Rpm("a-1-1.noarch"), Rpm("b-1-1.noarch", requires=["gone"]), Rpm("c-1-1.noarch", conflicts=["a"])]
    requests = {
        "good": ["a"],
        "missing": ["a", "nope"],
        "broken": ["b"],
        "conflict": ["a", "c"],
        "rich": ["(b if a)", "a"],
    }
    resolver = open_resolver(rpms, requests, group=["a"])
    good = resolver.resolve("good")
    for key in ("missing", "broken", "conflict", "rich"):
        answer = resolver.resolve(key)
        assert not answer.resolved
        assert answer.problems
        assert answer.installed == frozenset()
        assert resolver.resolve("good") == resolver.base() == good
        assert resolver.resolve(key) == answer


def test_an_architecture_nobody_knows_has_only_what_fits_all(installs: Installs, resolve: Resolve) -> None:
    rpms = [Rpm("a-1-1.x86_64"), Rpm("b-1-1.noarch")]
    assert installs(rpms, ["b"], arch="quantum64") == {"b"}
    assert resolve(rpms, ["a"], arch="quantum64").problems == ("No package found for: a",)


@pytest.mark.parametrize("arch", ["", "x86 64", "../x86_64", "x\n86"])
def test_what_cannot_be_an_architecture_is_a_config_error(open_resolver: Open, arch: str) -> None:
    with pytest.raises(ConfigError, match=r"dependency\.resolve_for_arch"):
        open_resolver([], {}, arch=arch)


def test_metadata_the_library_cannot_read_is_a_broken_repository(
    repository: Callable[..., Path], cache: RepositoryCache, engine_name: str
) -> None:
    with cache.local(repository([Rpm("a-1-1.noarch")])) as local:
        local.primary.write_bytes(zstandard.compress(b"<metadata><package"))
        with pytest.raises(RepositoryBroken, match=local.name):
            engine(engine_name).open(local, build_group=[], requests={}, ignore_weak_deps=True, arch="x86_64")


def test_a_resolver_needs_its_repository_only_to_be_opened(
    repository: Callable[..., Path], cache: RepositoryCache, engine_name: str
) -> None:
    """Others may evict it from the cache while questions are still being asked."""
    made = repository([Rpm("a-1-1.noarch", requires=["/usr/share/b"]), Rpm("b-1-1.noarch", files=["/usr/share/b"])])
    with cache.local(made) as local:
        options: dict[str, Any] = {"build_group": [], "ignore_weak_deps": True, "arch": "x86_64"}
        resolver = engine(engine_name).open(local, requests={"pkg": ["a"]}, **options)
        assert [path.name for path in local.folder.iterdir() if path.name.startswith(".")] == []
        cache.discard(local.folder)
    assert {package.name for package in resolver.resolve("pkg").installed} == {"a", "b"}
    assert resolver.distances("pkg") == {"a": 1, "b": 2}
    resolver.close()


@settings(max_examples=40)
@given(data=st.data(), world=worlds(), weak=st.booleans())
def test_answers_depend_on_nothing_but_the_evidence(
    data: st.DataObject,
    world: Any,
    weak: bool,
    open_resolver: Open,
) -> None:
    """Not on the order of packages in the metadata, nor of BuildRequires, nor of questions, nor of other requests."""
    described, requests = world
    rpms = [Rpm(**rpm) for rpm in described]
    alone = {key: open_resolver(rpms, {key: requests[key]}, weak=weak).resolve(key) for key in requests}
    shuffled = data.draw(st.permutations(rpms))
    reordered = {key: data.draw(st.permutations(requests[key])) for key in requests}
    resolver = open_resolver(shuffled, reordered, weak=weak)
    for key in data.draw(st.lists(st.sampled_from(sorted(requests)), min_size=4, max_size=10)):
        assert resolver.resolve(key) == alone[key]


@settings(max_examples=40)
@given(world=worlds())
def test_what_is_installed_fits_together(world: Any, open_resolver: Open) -> None:
    """An independent check of every positive answer: requirements met, no conflict, one version of a name."""
    described, requests = world
    resolver = open_resolver([Rpm(**rpm) for rpm in described], requests)
    by_nevra = {rpm["nevra"]: rpm for rpm in described}
    for key in requests:
        answer = resolver.resolve(key)
        assert answer.resolved == (not answer.problems)
        chosen = [by_nevra[str(package)] for package in answer.installed]
        names = [package.name for package in answer.installed]
        assert len(names) == len(set(names))
        has = {provided for rpm in chosen for provided in rpm["provides"]} | set(names)
        if answer.resolved:
            assert all(text in has for text in requests[key] if text[0] not in "(n")
        for rpm in chosen:
            assert all(text in has for text in rpm["requires"] if text[0] != "(" and " " not in text)
            name = rpm["nevra"].split("-")[0]
            others = {p for o in chosen if o is not rpm for p in [*o["provides"], o["nevra"].split("-")[0]]}
            assert not others & (set(rpm["conflicts"]) - {name})
