"""What each solver says about the same packages in the same repository: whether the fast one can be trusted.

Where several packages would do, solvers may choose differently (docs/adr/0008): a difference is a question, no fault.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass

from koschei import collections, packages, srpms
from koschei.buildroots import Buildroots
from koschei.config import Config
from koschei.db.engine import Database
from koschei.depsolve.engines import ENGINES
from koschei.depsolve.interface import Answer
from koschei.errors import RepositoryGone
from koschei.koji import repositories
from koschei.koji.session import KojiSession
from koschei.resolution import eligible

BASE = ""
"""Stands for the base buildroot where otherwise a package is named."""


@dataclass(frozen=True)
class Opinion:
    """What one engine says, as far as the other says something else."""

    engine: str
    resolved: bool
    problems: tuple[str, ...]
    only: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """A package about which the engines do not agree; BASE is the base buildroot."""

    package: str
    opinions: tuple[Opinion, ...]


@dataclass(frozen=True)
class Comparison:
    """`left_out`: packages that are not resolved, or whose BuildRequires are not known yet. `seconds`: by engine."""

    collection: str
    repo_id: int
    compared: int
    left_out: tuple[str, ...]
    seconds: dict[str, float]
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class SecondOpinion:
    """Asks all `engines`. Nothing is written but the cache of repositories, and nobody else is disturbed.

    `progress` is called with an engine, and how many packages it has answered.
    """

    database: Database
    koji: KojiSession
    config: Config
    engines: tuple[str, ...] = ENGINES
    progress: Callable[[str, int, int], None] = lambda engine, done, total: None

    def compare(self, collection_name: str, names: Collection[str], sample: int) -> Comparison:
        """Compare in the newest repository: packages of these names, or if there are none, `sample` at random.

        Which ones are drawn depends on the repository: the same every time, and others in the next.

        Errors: NotFoundError for unknown names; ConfigError when an engine's library is not there; RepositoryGone
        when there is no repository; those of Buildroots.open.
        """
        with self.database.begin() as session:
            collection = collections.by_name(session, collection_name)
            packages.named(session, names, collection)
            subjects = {subject.name: subject.nvr for subject in eligible(session, collection)}
            facts = srpms.stored(session, subjects.values())
        requests = {name: facts[nvr].build_requires for name, nvr in subjects.items() if nvr in facts}
        repo = repositories.newest_repo(self.koji, collection.build_tag)
        if repo is None:
            raise RepositoryGone(f"Koji has no repository of {collection.build_tag} that is ready")
        chosen = set(names) & requests.keys() if names else draw(requests, sample, repo.id)
        requests = {name: requests[name] for name in sorted(chosen)}
        # All of them before the first is used: a library that is missing is told at once.
        roots = {engine: Buildroots(self.koji, with_engine(self.config, engine)) for engine in self.engines}
        answers: dict[str, dict[str, Answer]] = {}
        seconds: dict[str, float] = {}
        for engine, root in roots.items():
            with closing(root.open(collection, repo, requests)) as resolver:
                began = time.monotonic()
                answers[engine] = {BASE: resolver.base()}
                for number, name in enumerate(requests, 1):
                    answers[engine][name] = resolver.resolve(name)
                    self.progress(engine, number, len(requests))
                seconds[engine] = time.monotonic() - began
        return Comparison(
            collection=collection.name,
            repo_id=repo.id,
            compared=len(requests),
            left_out=tuple(sorted(set(names) - requests.keys())),
            seconds=seconds,
            differences=tuple(differences(answers)),
        )


def draw(names: Collection[str], count: int, seed: int) -> set[str]:
    ordered = sorted(names)
    return set(random.Random(seed).sample(ordered, min(count, len(ordered))))  # noqa: S311 - nothing secret


def with_engine(config: Config, engine: str) -> Config:
    """The same settings but for the engine."""
    dependency = config.dependency.model_copy(update={"engine": engine})
    return config.model_copy(update={"dependency": dependency})


def differences(answers: dict[str, dict[str, Answer]]) -> list[Difference]:
    """Where answers, by engine and package, are not the same; in which words a problem is put does not matter."""
    found = []
    first = next(iter(answers.values()))
    for package in first:
        said = [(engine, by_package[package]) for engine, by_package in answers.items()]
        if len({(answer.resolved, answer.installed) for _, answer in said}) > 1:
            found.append(Difference(package, tuple(opinion(engine, answer, said) for engine, answer in said)))
    return found


def opinion(engine: str, answer: Answer, said: Sequence[tuple[str, Answer]]) -> Opinion:
    shared = frozenset.intersection(*(other.installed for _, other in said))
    # Against no packages at all, a whole list of packages says nothing.
    comparable = all(other.resolved for _, other in said)
    only = sorted(str(package) for package in answer.installed - shared) if comparable else []
    return Opinion(engine, answer.resolved, answer.problems, tuple(only))
