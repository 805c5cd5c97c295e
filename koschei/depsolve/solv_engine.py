"""The engine `solv`: libsolv through its own Python binding.

Each request is a source package in the pool whose Requires are the BuildRequires: libsolv then treats rich
dependencies and files as it does for any package, and knows whom a problem belongs to.

A Solver that is used again keeps the rules of packages it has met, which is most of its work. It also keeps which
literals of a rule it watches, and so finds things out in another order. That can change an answer only if the order
counts: when it has to take a decision back (it then has learnt a rule), when it installs weak dependencies, and in
which words it complains. In all these cases a new Solver has the last word, so that answers do not depend on history.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import solv

from koschei.depsolve import problems
from koschei.depsolve.buildrequires import (
    MAX_CLAUSES,
    MalformedError,
    Plain,
    Requirement,
    clauses,
    leaves,
    parse,
    wanted,
)
from koschei.depsolve.distances import Distances
from koschei.depsolve.interface import Answer, Nevra, Resolver
from koschei.depsolve.repository import LocalRepository
from koschei.depsolve.solv_pool import PoolRelations, add_files, load_pool

COMPARISONS = {
    "<": solv.REL_LT,
    "<=": solv.REL_LT | solv.REL_EQ,
    "=": solv.REL_EQ,
    ">=": solv.REL_GT | solv.REL_EQ,
    ">": solv.REL_GT,
}
# SOLVER_FLAG_URPM_REORDER, which hawkey sets; the binding has no name for it.
URPM_REORDER = 23
FLAGS = (
    solv.Solver.SOLVER_FLAG_ALLOW_VENDORCHANGE,
    solv.Solver.SOLVER_FLAG_KEEP_ORPHANS,
    solv.Solver.SOLVER_FLAG_BEST_OBEY_POLICY,
    solv.Solver.SOLVER_FLAG_YUM_OBSOLETES,
    URPM_REORDER,
)
NOT_PACKAGE_RULES = (solv.Solver.SOLVER_RULE_LEARNT, solv.Solver.SOLVER_RULE_UNKNOWN)
INSTALL_PROVIDER = solv.Job.SOLVER_INSTALL | solv.Job.SOLVER_SOLVABLE_PROVIDES
SOURCE_ARCHES = ("src", "nosrc")
INCLUDE_JOBS = 1


@dataclass(slots=True)
class Request:
    """A source package: its solvable, its BuildRequires as text, parsed and as libsolv has them, and what is wrong.

    Settled, `jobs` ask for each of the BuildRequires by itself, and `starts` are the ids of what leads away from it.
    """

    solvable: Any
    requirements: list[tuple[str, Requirement, Any]]
    problems: list[str]
    starts: list[int] = field(default_factory=list)
    jobs: list[Any] = field(default_factory=list)


class SolvEngine:
    """Opens repositories with libsolv."""

    def open(
        self,
        repository: LocalRepository,
        *,
        build_group: Sequence[str],
        requests: Mapping[str, Sequence[str]],
        ignore_weak_deps: bool,
        arch: str,
    ) -> Resolver:
        pool, packages = load_pool(repository, arch)
        # Everything is interned before the index is made: libsolv does not look behind it.
        sources = pool.add_repo("requests")
        opened = {key: add_request(pool, sources, key, requests[key]) for key in sorted(requests)}
        group = add_request(pool, sources, "build group", build_group)
        index(pool, packages, repository, [group, *opened.values()])
        for request in opened.values():
            settle(pool, request)
        jobs = [
            pool.Job(INSTALL_PROVIDER, dependency.id)
            for _, _, dependency in group.requirements
            if pool.whatprovides(dependency)
        ]
        return SolvResolver(pool, jobs, opened, ignore_weak_deps)


def add_request(pool: Any, sources: Any, key: str, build_requires: Sequence[str]) -> Request:
    """A source package `key`; sorted, so that the order of its BuildRequires does not matter."""
    solvable = sources.add_solvable()
    solvable.name, solvable.evr, solvable.arch = key, "", "src"
    request = Request(solvable, [], [])
    for text in sorted(set(build_requires)):
        try:
            requirement = parse(text)
            dependency = make_dependency(pool, requirement, text)
        except MalformedError as error:
            request.problems.append(problems.malformed(text, error))
            continue
        request.requirements.append((text, requirement, dependency))
        solvable.add_deparray(solv.SOLVABLE_REQUIRES, dependency)
        for leaf in leaves(requirement):
            make_dependency(pool, leaf, leaf.text)
    return request


def make_dependency(pool: Any, requirement: Requirement, text: str) -> Any:
    if isinstance(requirement, Plain):
        dependency = pool.Dep(requirement.name)
        if not requirement.comparison:
            return dependency
        # An epoch of zero is no epoch, as where libsolv reads versions itself.
        evr = requirement.evr.removeprefix("0:") or requirement.evr
        return dependency.Rel(COMPARISONS[requirement.comparison], pool.Dep(evr))
    dependency = pool.parserpmrichdep(text.strip())
    if dependency is None:
        raise MalformedError("it is not a rich dependency that RPM knows")
    return dependency


def index(pool: Any, packages: Any, repository: LocalRepository, requests: Sequence[Request]) -> None:
    """Let libsolv find out who provides what, with file lists if a file is not in primary's files."""
    paths = {
        leaf.name
        for request in requests
        for _, requirement, _ in request.requirements
        for leaf in leaves(requirement)
        if leaf.name.startswith("/")
    } | repository.file_dependencies
    ids = {path: pool.Dep(path) for path in sorted(paths)}
    pool.addfileprovides()
    pool.createwhatprovides()
    missing = [path for path, dependency in ids.items() if not pool.whatprovides(dependency)]
    owners = {path: owned for path, owned in repository.owners(missing).items() if owned} if missing else {}
    if owners:
        add_files(packages, owners, repository)
        pool.addfileprovides()
        pool.createwhatprovides()


def settle(pool: Any, request: Request) -> None:
    """Drop what nobody provides, which is a problem of its own, and what would exhaust the solver."""
    request.solvable.unset(solv.SOLVABLE_REQUIRES)

    def providers(leaf: Plain) -> int:
        return len(pool.whatprovides(make_dependency(pool, leaf, leaf.text)))

    for text, requirement, dependency in request.requirements:
        if isinstance(requirement, Plain):
            if not pool.whatprovides(dependency):
                request.problems.append(problems.not_found(text))
                continue
            request.starts.append(dependency.id)
        elif clauses(requirement, providers)[0] > MAX_CLAUSES:
            request.problems.append(problems.malformed(text, "it stands for too many combinations of packages"))
            continue
        else:
            request.starts.extend(make_dependency(pool, leaf, leaf.text).id for leaf in wanted(requirement))
        request.solvable.add_deparray(solv.SOLVABLE_REQUIRES, dependency)
        request.jobs.append(pool.Job(INSTALL_PROVIDER, dependency.id))


class SolvResolver:
    """A loaded pool. Everything it answers follows from the pool and the request alone."""

    # Freed in this order: what refers to the pool goes before it.
    __slots__ = ("distances_in", "ignore_weak_deps", "jobs", "nevras", "requests", "reused", "pool")  # noqa: RUF023

    def __init__(self, pool: Any, jobs: list[Any], requests: Mapping[str, Request], ignore_weak_deps: bool) -> None:
        self.pool = pool
        self.jobs = jobs
        self.requests = dict(requests)
        self.ignore_weak_deps = ignore_weak_deps
        self.reused = ReusedSolver(self.new_solver)
        self.distances_in = Distances(PoolRelations(pool))
        self.nevras: dict[int, Nevra | None] = {}

    def base(self) -> Answer:
        solver, solved = self.solve(self.jobs)
        return self.resolved(solver) if solved else self.unresolved(self.explain(self.jobs, ""))

    def resolve(self, key: str) -> Answer:
        request = self.requests[key]
        # It comes first: behind the build group, weak dependencies are followed in another order than today.
        install = self.pool.Job(solv.Job.SOLVER_INSTALL | solv.Job.SOLVER_SOLVABLE, request.solvable.id)
        solver, solved = self.solve([install, *self.jobs])
        if solved and not request.problems:
            return self.resolved(solver)
        found = list(request.problems)
        if not solved:
            # One job for each of the BuildRequires, so that each problem is found, not just one for the package.
            reasons = self.explain([*request.jobs, *self.jobs], key)
            found += [reason for reason in reasons if reason != problems.UNEXPLAINED]
            if not reasons or problems.UNEXPLAINED in reasons:
                # A condition that the build group fulfils is nobody's rule but the source package's.
                found += self.explain([install, *self.jobs], key)
        return self.unresolved(found)

    def distances(self, key: str) -> Mapping[str, int]:
        return self.distances_in.walk(self.requests[key].starts)

    def close(self) -> None:
        del self.reused, self.distances_in, self.jobs, self.requests, self.pool

    def new_solver(self) -> Any:
        solver = self.pool.Solver()
        for flag in FLAGS:
            solver.set_flag(flag, 1)
        solver.set_flag(solv.Solver.SOLVER_FLAG_IGNORE_RECOMMENDED, int(self.ignore_weak_deps))
        return solver

    def solve(self, jobs: list[Any]) -> tuple[Any, bool]:
        """A Solver that has solved, and whether it could; its solution is what a new one would have found."""
        if self.ignore_weak_deps:
            solver, solved, certain = self.reused.solve(jobs)
            if certain:
                return solver, solved
        solver = self.new_solver()
        return solver, not solver.solve(jobs)

    def explain(self, jobs: list[Any], key: str) -> list[str]:
        # The solver must outlive its problems: the binding does not see to it.
        solver = self.new_solver()
        return [describe(problem, key) for problem in solver.solve(jobs)]

    def unresolved(self, found: list[str]) -> Answer:
        return Answer(False, tuple(sorted(set(found))), frozenset())

    def resolved(self, solver: Any) -> Answer:
        packages = (self.nevra(package) for package in solver.raw_decisions(1))
        return Answer(True, (), frozenset(package for package in packages if package is not None))

    def nevra(self, package: int) -> Nevra | None:
        """None for what is not a binary package: sources, and libsolv's own solvable 1 (the system)."""
        if package in self.nevras:
            return self.nevras[package]
        solvable = self.pool.id2solvable(package)
        if package == 1 or solvable.arch in SOURCE_ARCHES:
            found = None
        else:
            epoch, colon, rest = solvable.evr.partition(":")
            if not (colon and epoch.isdigit()):
                epoch, rest = "0", solvable.evr
            version, dash, release = rest.rpartition("-")
            found = Nevra(
                solvable.name, int(epoch), version if dash else release, release if dash else "", solvable.arch
            )
        self.nevras[package] = found
        return found


class ReusedSolver:
    """A Solver for as long as using it again pays: its first solve tells what a new one costs."""

    MEMORY = 0.8

    def __init__(self, make: Any) -> None:
        self.make = make
        self.solver: Any = None
        self.fresh = 0.0
        self.average = 0.0

    def solve(self, jobs: list[Any]) -> tuple[Any, bool, bool]:
        """The Solver, whether it could solve, and whether a new one would certainly decide the same (see the top)."""
        began = time.perf_counter()
        first = self.solver is None
        if first:
            self.solver = self.make()
        solver = self.solver
        solved = not solver.solve(jobs)
        took = time.perf_counter() - began
        if first:
            self.fresh = self.average = took
            return solver, solved, True
        self.average = self.MEMORY * self.average + (1 - self.MEMORY) * took
        if self.average > self.fresh:
            self.solver = None
        # That there is no solution is true whatever the order; the words are found by a new Solver anyway.
        return solver, solved, not solved or not has_learnt(solver)


def describe(problem: Any, key: str) -> str:
    """One libsolv problem of request `key`."""
    rules = problem.findallproblemrules(INCLUDE_JOBS)
    sentences = [describe_rule(info, key) for rule in rules for info in rule.allinfos()]
    return problems.problem(sentences or [problems.CONFLICTING])


def describe_rule(info: Any, key: str) -> str:
    if info.type == solv.Solver.SOLVER_RULE_JOB_NOTHING_PROVIDES_DEP:
        return problems.nothing_provides(info.dep.str(), key)
    if info.type == solv.Solver.SOLVER_RULE_JOB:
        return problems.CONFLICTING
    return str(info.problemstr())


def has_learnt(solver: Any) -> bool:
    """Whether the last solve had to take decisions back. Rules are numbered by kind, learnt ones last."""
    high = 1
    while solv.XRule(solver, high).type not in NOT_PACKAGE_RULES:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if solv.XRule(solver, middle).type in NOT_PACKAGE_RULES:
            high = middle
        else:
            low = middle
    return bool(solv.XRule(solver, high).type == solv.Solver.SOLVER_RULE_LEARNT)
