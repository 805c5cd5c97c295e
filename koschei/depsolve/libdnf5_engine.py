"""The engine `libdnf5`: the package manager's own code, asked as `dnf builddep` asks it.

Each of the BuildRequires and of the build group's entries is an item of a Goal, to be installed whoever provides it,
on a system that has nothing. Every question gets a Goal of its own, so answers do not depend on history.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
from koschei.depsolve.libdnf5_base import REPOSITORY_ID, Libdnf5, load_base
from koschei.depsolve.repository import LocalRepository

# How it begins a problem, and the rest of one; it numbers them when there are several.
PROBLEM = re.compile(r"^Problem(?: \d+)?: ", re.MULTILINE)
DETAIL = "\n  - "
REQUESTED = "nothing provides requested "


@dataclass(slots=True)
class Request:
    """What can be asked for, as text libdnf5 understands, what is wrong with the rest, and what leads away from it."""

    items: list[str] = field(default_factory=list)
    rich: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)


class Libdnf5Engine:
    """Opens repositories with libdnf5; ConfigError when the library is not there."""

    def __init__(self) -> None:
        self.dnf = Libdnf5()

    def open(
        self,
        repository: LocalRepository,
        *,
        build_group: Sequence[str],
        requests: Mapping[str, Sequence[str]],
        ignore_weak_deps: bool,
        arch: str,
    ) -> Resolver:
        paths = repository.file_dependencies | paths_in([build_group, *requests.values()])
        options: dict[str, Any] = {"paths": paths, "arch": arch, "ignore_weak_deps": ignore_weak_deps}
        base = load_base(self.dnf, repository, owners={}, **options)
        relations = BaseRelations(self.dnf, base)
        missing = [path for path in sorted(paths) if not relations.provided(path)]
        owners = {path: owned for path, owned in repository.owners(missing).items() if owned} if missing else {}
        if owners:
            del relations, base
            base = load_base(self.dnf, repository, owners=owners, **options)
            relations = BaseRelations(self.dnf, base)
        group = understand(relations, build_group)
        opened = {key: understand(relations, requests[key]) for key in sorted(requests)}
        return Libdnf5Resolver(self.dnf, base, relations, group.items, opened)


def paths_in(requests: Iterable[Sequence[str]]) -> set[str]:
    """The files that the BuildRequires of some requests are about."""
    found: set[str] = set()
    for text in {text for request in requests for text in request if "/" in text}:
        try:
            found.update(leaf.name for leaf in leaves(parse(text)) if leaf.name.startswith("/"))
        except MalformedError:
            continue  # it becomes a problem of those who ask for it
    return found


def understand(relations: BaseRelations, build_requires: Sequence[str]) -> Request:
    """Sorted, so that the order of BuildRequires does not matter; without what nobody provides: that is a problem."""
    request = Request()
    for text in sorted(set(build_requires)):
        try:
            requirement = parse(text)
            item = item_for(requirement, text)
            dependency = relations.dependency(item)
            starts = [relations.dependency(item_for(leaf, leaf.text)) for leaf in wanted(requirement)]
            check_size(relations, requirement)
        except MalformedError as error:
            request.problems.append(problems.malformed(text, error))
            continue
        if isinstance(requirement, Plain):
            if not relations.providers(dependency):
                request.problems.append(problems.not_found(text))
                continue
        else:
            request.rich.append(item)
        request.items.append(item)
        request.starts.extend(starts)
    return request


def item_for(requirement: Requirement, text: str) -> str:
    if not isinstance(requirement, Plain):
        return text.strip()
    # An epoch of zero is no epoch, as where libsolv reads versions itself.
    evr = requirement.evr.removeprefix("0:") or requirement.evr
    return Plain(requirement.name, requirement.comparison, evr).text


def check_size(relations: BaseRelations, requirement: Requirement) -> None:
    """Raises MalformedError when the solver would be exhausted."""

    def providers(leaf: Plain) -> int:
        return len(relations.provided(item_for(leaf, leaf.text)))

    if not isinstance(requirement, Plain) and clauses(requirement, providers)[0] > MAX_CLAUSES:
        raise MalformedError("it stands for too many combinations of packages")


class BaseRelations:
    """The Relations of a loaded base; its numbers are libsolv's ids."""

    def __init__(self, dnf: Libdnf5, base: Any) -> None:
        self.dnf = dnf
        self.base = base
        self.ids: dict[str, int] = {}
        self.dependencies: dict[int, Any] = {}
        self.packages: dict[int, Any] = {}
        self.providers_of: dict[int, tuple[int, ...]] = {}

    def dependency(self, text: str) -> int:
        """The number of a dependency; MalformedError when libdnf5 does not understand it."""
        if text not in self.ids:
            try:
                self.ids[text] = self.number(self.dnf.rpm.Reldep(self.base, text))
            except self.dnf.errors as error:
                raise MalformedError("it is not a dependency that RPM knows") from error
        return self.ids[text]

    def provided(self, text: str) -> Sequence[int]:
        """Who provides it; nobody when it cannot be understood."""
        try:
            return self.providers(self.dependency(text))
        except MalformedError:
            return ()

    def number(self, dependency: Any) -> int:
        number = int(dependency.get_id().id)
        self.dependencies.setdefault(number, dependency)
        return number

    def providers(self, dependency: int) -> Sequence[int]:
        found = self.providers_of.get(dependency)
        if found is None:
            query = self.dnf.rpm.PackageQuery(self.base)
            query.filter_provides(self.dependencies[dependency])
            numbers = []
            for package in query:
                number = int(package.get_id().id)
                self.packages.setdefault(number, package)
                numbers.append(number)
            found = self.providers_of[dependency] = tuple(numbers)
        return found

    def requires(self, package: int) -> Iterable[int]:
        return [self.number(dependency) for dependency in self.packages[package].get_requires()]

    def name(self, package: int) -> str:
        return str(self.packages[package].get_name())


class Libdnf5Resolver:
    """A loaded base. Everything it answers follows from the base and the request alone."""

    # Freed in this order: what refers to the base goes before it.
    __slots__ = ("distances_in", "relations", "group", "requests", "nevras", "dnf", "loaded")  # noqa: RUF023

    def __init__(
        self, dnf: Libdnf5, base: Any, relations: BaseRelations, group: Sequence[str], requests: Mapping[str, Request]
    ) -> None:
        self.dnf = dnf
        self.loaded = base
        self.relations = relations
        self.group = list(group)
        self.requests = dict(requests)
        self.distances_in = Distances(relations)
        self.nevras: dict[int, Nevra] = {}

    def base(self) -> Answer:
        return self.solve(self.group, "")

    def resolve(self, key: str) -> Answer:
        request = self.requests[key]
        # In this order, as `dnf builddep` in a buildroot whose group is not there yet.
        answer = self.solve([*request.items, *self.group], key)
        if answer.resolved and not request.problems:
            return answer
        found = set(answer.problems)
        if problems.UNEXPLAINED in found and request.rich:
            found.discard(problems.UNEXPLAINED)
            found.update(self.explain(request, key))
        return Answer(False, tuple(sorted(found | set(request.problems))), frozenset())

    def explain(self, request: Request, key: str) -> list[str]:
        """libsolv has no words for a condition that is met when what follows from it cannot be had."""
        unexplained = (problems.UNEXPLAINED,)
        alone = [text for text in request.rich if self.solve([text, *self.group], key).problems == unexplained]
        return [
            problems.problem([problems.cannot_have(text, key), problems.CONFLICTING]) for text in alone or request.rich
        ]

    def distances(self, key: str) -> Mapping[str, int]:
        return self.distances_in.walk(self.requests[key].starts)

    def close(self) -> None:
        del self.distances_in, self.relations, self.group, self.requests, self.loaded

    def solve(self, items: Sequence[str], key: str) -> Answer:
        goal = self.dnf.base.Goal(self.loaded)
        for item in items:
            goal.add_provide_install(item)
        transaction = goal.resolve()
        if transaction.get_problems() == self.dnf.base.GoalProblem_NO_PROBLEM:
            packages = (item.get_package() for item in transaction.get_transaction_packages())
            return Answer(True, (), frozenset(self.nevra(package) for package in packages))
        found = {sentence for log in transaction.get_resolve_logs_as_strings() for sentence in sentences(str(log), key)}
        return Answer(False, tuple(sorted(found or {problems.UNEXPLAINED})), frozenset())

    def nevra(self, package: Any) -> Nevra:
        number = int(package.get_id().id)
        found = self.nevras.get(number)
        if found is None:
            epoch = int(package.get_epoch() or 0)
            found = self.nevras[number] = Nevra(
                package.get_name(), epoch, package.get_version(), package.get_release(), package.get_arch()
            )
        return found


def sentences(log: str, key: str) -> list[str]:
    """What libdnf5 says is wrong, problem by problem, in the words all engines use."""
    plain = log.replace(f" from {REPOSITORY_ID}", "")
    found = []
    for text in PROBLEM.split(plain):
        parts = [
            problems.nothing_provides(part.removeprefix(REQUESTED), key) if part.startswith(REQUESTED) else part
            for part in text.strip("\n").split(DETAIL)
        ]
        if parts != [""]:
            found.append(problems.problem(parts))
    return found
