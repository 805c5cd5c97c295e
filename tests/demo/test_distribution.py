"""The sample distribution is what it says, and every package of it can be built at the start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from demo.distribution import ARCHES, Distribution, distribution
from demo.hub import HubServer, Timings
from demo.world import BUILD_TAG, OLD, TAG, UPDATED, World
from koschei import depsolve
from koschei.depsolve.interface import Resolver
from koschei.depsolve.repository import RepositoryCache


@pytest.fixture(scope="module")
def sample() -> Distribution:
    return distribution()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, sample: Distribution) -> Iterator[World]:
    built = World(tmp_path_factory.mktemp("koji"), sample, Timings.quick())
    built.build()
    yield built
    built.close()


@pytest.fixture(scope="module", params=ARCHES)
def resolver(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, world: World, sample: Distribution
) -> Iterator[Resolver]:
    """What BuildRequires mean in the repository that the demo starts with."""
    newest = world.hub.repos.newest(world.hub.tag(BUILD_TAG).id)
    assert newest is not None
    with HubServer(world.hub) as server:
        url = f"{server.topurl}/repos/{BUILD_TAG}/{newest.id}/{request.param}"
        local = RepositoryCache(tmp_path_factory.mktemp("repodata"), 2).take_in(url, "sample")
        requests = {name: source.build_requires for name, source in world.current.items()}
        opened = depsolve.engine("solv").open(
            local, build_group=sample.build_group, requests=requests, ignore_weak_deps=True, arch=request.param
        )
    yield opened
    opened.close()


def test_it_has_a_few_hundred_packages_and_a_thousand_binaries(sample: Distribution) -> None:
    binaries = [binary.name for source in sample.sources for binary in source.binaries]
    assert 200 <= len(sample.sources) <= 400
    assert 900 <= len(binaries) <= 1200
    assert [name for name, count in Counter(binaries).items() if count > 1] == []


def test_it_is_the_same_every_time_and_another_with_another_seed(sample: Distribution) -> None:
    assert distribution() == sample
    assert distribution(seed=1) != sample


def test_it_has_every_kind_of_dependency_and_package(sample: Distribution) -> None:
    wishes = [wish for source in sample.sources for wish in source.build_requires]
    assert any(wish.startswith("/") for wish in wishes)
    for operator in (" with ", " or ", " and ", " if "):
        assert any(wish.startswith("(") and operator in wish for wish in wishes), operator
    assert any(wish.startswith("pkgconfig(") and ">=" in wish for wish in wishes)
    assert any("1:" in wish for wish in wishes)
    assert {source.epoch for source in sample.sources} >= {None, 1, 2, 4}
    assert any(source.build_archs == ("noarch",) for source in sample.sources)
    assert any(source.exclusive_arch for source in sample.sources)
    assert any(source.exclude_arch for source in sample.sources)


def test_names_that_play_a_part_are_packages(sample: Distribution) -> None:
    names = {source.name for source in sample.sources}
    assert names >= {*sample.blocked, *sample.untracked, *OLD, *UPDATED}
    assert set(sample.tracked) == names - {*sample.blocked, *sample.untracked}
    assert sample["libgit2"].version == "1.8.4"


def test_the_base_buildroot_can_be_installed(resolver: Resolver) -> None:
    answer = resolver.base()
    assert answer.problems == ()
    assert len(answer.installed) > 40


def test_every_package_can_be_built_at_the_start(resolver: Resolver, sample: Distribution) -> None:
    problems = {name: resolver.resolve(name).problems for name in sample.tracked}
    assert {name: found for name, found in problems.items() if found} == {}


def test_builds_are_as_old_as_they_are_said_to_be(world: World, sample: Distribution) -> None:
    now = world.hub.agenda.now()
    built = {build.nvr: build for build in world.hub.world.builds.values()}
    assert abs(now - built[sample["tree"].nvr].start_ts - 41 * 86400) < 60
    young = [built[source.nvr] for source in sample.sources if source.name not in OLD]
    assert all(6 * 3600 < now - build.start_ts < 17 * 3600 for build in young)


def test_the_newest_repository_holds_the_newest_builds(world: World) -> None:
    newest = world.hub.repos.newest(world.hub.tag(BUILD_TAG).id)
    assert newest is not None
    listed = {name for name, nvr in newest.builds.items() if world.current[name].nvr == nvr}
    assert listed == set(world.current) - set(world.distribution.blocked)
    assert world.hub.world.package_list(world.hub.tag(TAG).id)
