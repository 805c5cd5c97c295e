"""When the engine `solv` may use a Solver again, and when only a new one is trusted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from koschei.depsolve.solv_engine import SolvResolver, has_learnt
from tests.depsolve.repositories import Rpm

# Installing v1 needs a p and a q, and no p goes with any q: found out only after choosing one.
WORLD = [
    Rpm("v1-2-1.noarch", provides=["v = 2"], requires=["p", "q"]),
    Rpm("v1-1-1.noarch", provides=["v = 1"]),
    *(Rpm(f"p{n}-1-1.noarch", provides=["p"], conflicts=["q"]) for n in (1, 2)),
    *(Rpm(f"q{n}-1-1.noarch", provides=["q"]) for n in (1, 2)),
    Rpm("easy-1-1.noarch"),
]


@pytest.fixture
def engine_name() -> str:
    return "solv"


@pytest.mark.parametrize(("request_key", "learnt"), [("hard", True), ("easy", False)])
def test_a_decision_taken_back_is_noticed(
    open_resolver: Callable[..., SolvResolver], request_key: str, learnt: bool
) -> None:
    resolver = open_resolver(WORLD, {"hard": ["v"], "easy": ["easy"]})
    solver = resolver.new_solver()
    assert not solver.solve(resolver.requests[request_key].jobs)
    assert has_learnt(solver) is learnt


def test_an_answer_is_certain_unless_decisions_were_taken_back_by_a_used_solver(
    open_resolver: Callable[..., SolvResolver],
) -> None:
    resolver = open_resolver(WORLD, {"hard": ["v"], "easy": ["easy"]})
    jobs = {key: request.jobs for key, request in resolver.requests.items()}
    certain = []
    for key in ("hard", "hard", "easy"):
        resolver.reused.fresh = 1000.0  # seconds: using it again always pays
        _, solved, sure = resolver.reused.solve(jobs[key])
        resolver.reused.average = 0.0
        assert solved
        certain.append(sure)
    assert certain == [True, False, True]
    assert {package.name for package in resolver.resolve("hard").installed} == {"v1"}


def test_weak_dependencies_are_always_for_a_new_solver(open_resolver: Callable[..., SolvResolver]) -> None:
    resolver = open_resolver(WORLD, {"easy": ["easy"]}, weak=True)
    assert resolver.resolve("easy").resolved
    assert resolver.reused.solver is None
