"""Buildroots: a repository of Koji, its build group, and a solver opened on both."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence

from koschei import depsolve
from koschei.config import Config
from koschei.depsolve.interface import Resolver
from koschei.depsolve.repository import RepositoryCache
from koschei.errors import NoBuildGroup, RepositoryGone
from koschei.koji import repositories
from koschei.koji.records import Repo
from koschei.koji.session import KojiSession
from koschei.model import Collection

UNFIT = re.compile(r"^\.|[^A-Za-z0-9._+-]")


class Buildroots:
    """Opens repositories for resolution; keeps downloaded ones in the cache folder, which may vanish."""

    def __init__(
        self,
        koji: KojiSession,
        config: Config,
        *,
        stop: threading.Event | None = None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._koji = koji
        self._config = config
        dependency = config.dependency
        self._cache = RepositoryCache(
            config.directories.cachedir / "repodata", dependency.cache_l2_capacity, stop=stop, alive=alive
        )
        self._engine = depsolve.engine(dependency.engine)

    def usable(self, repo_id: int) -> Repo:
        """The repository as Koji has it now.

        Errors: RepositoryGone when Koji has deleted it or never had it.
        """
        repo = repositories.repo(self._koji, repo_id)
        if repo is None or not repo.usable:
            state = "unknown to Koji" if repo is None else repo.state.name
            raise RepositoryGone(f"Repository {repo_id} cannot be used: it is {state}")
        return repo

    def open(self, collection: Collection, repo: Repo, requests: Mapping[str, Sequence[str]]) -> Resolver:
        """A resolver for BuildRequires by package name, with the collection's build group.

        The repository may be of another tag than the collection's build tag: real builds come out of side tags, and
        build tags are edited.

        Errors: NoBuildGroup; RepositoryGone, RepositoryBroken or RepositoryError as the repository is; KojiError.
        """
        group = repositories.build_group(self._koji, repo.tag, collection.build_group, repo.create_event)
        if group is None:
            raise NoBuildGroup(f"Koji has no group {collection.build_group!r} in the tag {repo.tag}")
        dependency = self._config.dependency
        url = repositories.repo_url(self._config.koji_config, repo.tag, repo.id, dependency.repo_arch)
        # Koji allows names of tags that cannot be names of folders; the number alone is unambiguous.
        folder = UNFIT.sub("_", f"{repo.tag[:100]}-{repo.id}-{dependency.repo_arch}")
        local = self._cache.take_in(url, folder)
        return self._engine.open(
            local,
            build_group=group,
            requests=requests,
            ignore_weak_deps=dependency.ignore_weak_deps,
            arch=dependency.resolve_for_arch,
        )
