"""Two solvers in one process, asked the same. Only `make test-libdnf5` runs this: it needs both libraries.

Where there is something to choose they may differ in what they choose: `solv` asks for one source package, `libdnf5`
for one of the BuildRequires after the other, and what is asked for first gets its newest version first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from koschei.depsolve import Answer, RepositoryCache, Resolver, engine
from koschei.depsolve.engines import ENGINES
from tests.depsolve.repositories import Rpm
from tests.depsolve.worlds import worlds

OpenBoth = Callable[..., list[Resolver]]


@pytest.fixture
def open_both(repository: Callable[..., Path], cache: RepositoryCache) -> OpenBoth:
    def make(described: list[Mapping[str, Any]], requests: Mapping[str, list[str]]) -> list[Resolver]:
        options: dict[str, Any] = {"build_group": ["a"], "ignore_weak_deps": True, "arch": "x86_64"}
        with cache.local(repository([Rpm(**rpm) for rpm in described])) as local:
            return [engine(name).open(local, requests=requests, **options) for name in ENGINES]

    return make


@settings(max_examples=100)
@given(world=worlds())
def test_engines_agree_on_what_can_be_installed_and_how_far_it_is(world: Any, open_both: OpenBoth) -> None:
    described, requests = world
    first, second = open_both(described, requests)
    assert first.base().resolved == second.base().resolved
    for key in requests:
        assert first.resolve(key).resolved == second.resolve(key).resolved
        assert first.distances(key) == second.distances(key)


@settings(max_examples=100)
@given(world=worlds())
def test_engines_agree_in_full_where_there_is_nothing_to_choose(world: Any, open_both: OpenBoth) -> None:
    described, requests = world
    only = {rpm["nevra"].partition("-")[0]: {**rpm, "provides": ()} for rpm in described}
    first, second = open_both(list(only.values()), requests)
    assert first.base() == second.base()
    for key, request in requests.items():
        one, other = first.resolve(key), second.resolve(key)
        assert (one.resolved, one.installed) == (other.resolved, other.installed)
        # libdnf5 does not say the same twice, and about conditions each has words of its own.
        assert said(other) <= said(one) or any(text.startswith("(") for text in request)
        assert bool(one.problems) == bool(other.problems)


def said(answer: Answer) -> set[str]:
    return {sentence for problem in answer.problems for sentence in problem.split("\n - ")}
