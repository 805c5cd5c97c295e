"""Methods about repositories."""

# ruff: noqa: N802

from __future__ import annotations

from typing import Any

import koji

from . import rows
from .repos import DELETED, INIT, READY, Repo
from .rpc import Methods, integer, rpc


class RepoMethods(Methods):
    def _row(self, repo: Repo | None) -> Any:
        return None if repo is None else rows.repo(self.world, self.hub.tasks, repo)

    @rpc()
    def getRepo(
        self,
        tag: Any,
        state: int | None = None,
        event: int | None = None,
        dist: bool = False,
        min_event: int | None = None,
    ) -> Any:
        """The newest; READY unless said otherwise. With an event the state is ignored."""
        found = self.tag_by_id(tag)
        if dist:
            return None
        wanted = READY if state is None else state
        return self._row(self.hub.repos.newest(found.id, wanted, event, min_event or 0))

    @rpc()
    def repoInfo(self, repo_id: int, strict: bool = False) -> Any:
        repo = self.hub.repos.get(integer(repo_id))
        if repo is None and strict:
            raise koji.GenericError("query returned no rows")
        return self._row(repo)

    @rpc()
    def getActiveRepos(self) -> Any:
        return [rows.active_repo(self.world, repo) for repo in self.hub.repos if repo.state != DELETED]

    @rpc("repo.get")
    def repoGet(self, tag: Any, min_event: int | None = None, at_event: int | None = None, opts: Any = None) -> Any:
        return self._row(self.hub.repos.newest(self.tag_by_info(tag).id, READY, min_event=min_event or 0))

    @rpc("repo.query")
    def repoQuery(self, clauses: Any, fields: Any = None, opts: Any = None) -> Any:
        """Clauses [field, '=', value] only."""
        found = [rows.queried_repo(self.world, repo) for repo in self.hub.repos]
        for field, operator, value in clauses or []:
            if operator != "=":
                raise koji.ParameterError(f"Invalid operator: {operator}")
            found = [row for row in found if row.get(field) == value]
        return [{field: row[field] for field in fields} for row in found] if fields else found

    @rpc("repo.request", write=True)
    def repoRequest(
        self,
        tag: Any,
        min_event: Any = None,
        at_event: int | None = None,
        opts: Any = None,
        priority: int | None = None,
        force: bool = False,
    ) -> Any:
        user = self.user()
        found = self.tag_by_info(tag)
        if min_event == "last":
            min_event = self.world.last_change(found.id)
        repo = None if force else self.hub.repos.newest(found.id, READY, min_event=min_event or 0)
        if repo is not None:
            return {"repo": self._row(repo), "request": None, "duplicate": False}
        relative = koji.PRIO_DEFAULT + (priority or 0)
        request, duplicate = self.hub.repos.request(found, user.id, min_event, relative)
        row = rows.repo_request(self.world, self.hub.tasks, request)
        return {"repo": None, "request": row, "duplicate": duplicate}

    @rpc("repo.checkRequest")
    def repoCheckRequest(self, req_id: int) -> Any:
        request = self.hub.repos.requests.get(integer(req_id))
        if request is None:
            raise koji.GenericError(f"No such request: {req_id}")
        repo = self.hub.repos.get(request.repo_id) if request.repo_id else None
        return {"repo": self._row(repo), "request": rows.repo_request(self.world, self.hub.tasks, request)}

    @rpc(write=True)
    def newRepo(
        self, tag: Any, event: int | None = None, src: bool = False, debuginfo: bool = False, separate_src: bool = False
    ) -> int:
        user = self.need("regen-repo")
        return self.hub.repos.create(self.tag_by_info(tag), user.id).task_id

    @rpc(write=True)
    def repoExpire(self, repo_id: int) -> None:
        self.need("repo")
        self.hub.expire_repo(repo_id)

    @rpc(write=True)
    def repoDelete(self, repo_id: int) -> None:
        self.need("repo")
        self.hub.delete_repo(repo_id)

    @rpc(write=True)
    def repoProblem(self, repo_id: int) -> None:
        self.need("repo")
        repo = self.hub.repos.get(repo_id)
        if repo is not None and repo.state in (INIT, READY):
            self.hub.fail_repo(repo_id)
