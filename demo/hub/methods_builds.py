"""Methods about builds: what is tagged, what was built, tagging."""

# ruff: noqa: N802, N803

from __future__ import annotations

import datetime as dt
from typing import Any

import koji

from . import queryopts, rows
from .rpc import Methods, named, rpc
from .tables import Build


class BuildMethods(Methods):
    def find_build(self, info: Any) -> Build | None:
        """By id, NVR or a dict with either."""
        if isinstance(info, dict) and "id" not in info:
            info = "{name}-{version}-{release}".format(**info)
        return self.world.build(named(info))

    def known_build(self, info: Any) -> Build:
        build = self.find_build(info)
        if build is None:
            raise koji.GenericError(f"No such build: {info!r}")
        return build

    # builds in tags

    @rpc()
    def listTagged(
        self,
        tag: Any,
        event: int | None = None,
        inherit: bool = False,
        prefix: str | None = None,
        latest: bool = False,
        package: Any = None,
        owner: Any = None,
        type: Any = None,
        strict: bool = True,
        extra: bool = False,
        draft: Any = None,
    ) -> Any:
        found = self.world.tag(named(tag), event)
        if found is None:
            if strict:
                self.tag_by_info(tag, event)
            return []
        package_id = None
        if package is not None:
            package_id = self.world.package_id(package) if isinstance(package, str) else package
            if package_id is None:
                return []
        answer = []
        for build, entry, tag_id in self.world.tagged_builds(found.id, event, inherit, bool(latest), package_id):
            row = rows.tagged_build(self.world, build, entry, tag_id)
            if owner is not None and row["owner_name"] != owner:
                continue
            if prefix is not None and not row["name"].startswith(prefix):
                continue
            if extra:
                row["extra"] = rows.listed_build(self.world, build)["extra"]
            answer.append(row)
        return answer

    @rpc()
    def getLatestBuilds(
        self, tag: Any, event: int | None = None, package: Any = None, type: Any = None, draft: Any = None
    ) -> Any:
        return self.listTagged(self.tag_by_info(tag).id, event, True, None, True, package)

    # one build, or many

    @rpc()
    def getBuild(self, buildInfo: Any, strict: bool = False) -> Any:
        build = self.known_build(buildInfo) if strict else self.find_build(buildInfo)
        return None if build is None else rows.build_info(self.world, build)

    @rpc()
    def findBuildID(self, X: Any, strict: bool = False) -> Any:
        build = self.known_build(X) if strict else self.find_build(X)
        return None if build is None else build.id

    @rpc()
    def listBuilds(
        self,
        packageID: Any = None,
        userID: Any = None,
        taskID: Any = None,
        prefix: str | None = None,
        state: int | None = None,
        volumeID: Any = None,
        source: str | None = None,
        createdBefore: Any = None,
        createdAfter: Any = None,
        completeBefore: Any = None,
        completeAfter: Any = None,
        type: Any = None,
        typeInfo: Any = None,
        queryOpts: Any = None,
        pattern: str | None = None,
        cgID: Any = None,
        draft: Any = None,
        promotedBefore: Any = None,
        promotedAfter: Any = None,
        promoter: Any = None,
    ) -> Any:
        package = self.world.package_id(packageID) or 0 if isinstance(packageID, str) else packageID
        owner = None if userID is None else self.world.user(named(userID))
        found = []
        for build in self.world.builds.values():
            if package not in (None, build.package_id) or state not in (None, build.state):
                continue
            if taskID not in (None, build.task_id) and not (isinstance(taskID, list) and build.task_id in taskID):
                continue
            if (userID is not None and (owner is None or owner.id != build.owner_id)) or not (
                _within(build.creation_ts, createdAfter, createdBefore)
                and _within(build.completion_ts, completeAfter, completeBefore)
            ):
                continue
            if prefix and not build.source.name.startswith(prefix):
                continue
            found.append(rows.listed_build(self.world, build))
        return queryopts.apply(found, queryOpts, {"build.id": "build_id", "id": "build_id"})

    @rpc()
    def getMavenBuild(self, buildInfo: Any, strict: bool = False) -> None:
        return None

    @rpc()
    def getWinBuild(self, buildInfo: Any, strict: bool = False) -> None:
        return None

    @rpc()
    def getImageBuild(self, buildInfo: Any, strict: bool = False) -> None:
        return None

    @rpc()
    def listArchives(self, buildID: Any = None, **other: Any) -> list[Any]:
        return []

    # tagging

    @rpc(write=True)
    def tagBuild(self, tag: Any, build: Any, force: bool = False, fromtag: Any = None) -> int:
        """A task that tags; here it has done so by the time its id is known."""
        user = self.user()
        found, row = self.tag_by_info(tag), self.known_build(build)
        task = self.hub.tasks.create("tagBuild", [found.id, row.id, force, fromtag, False], user.id)
        self.hub.tag_build_by(found, row, user.id)
        self.hub.tasks.close(task, None)
        return task.id

    @rpc(write=True)
    def untagBuild(self, tag: Any, build: Any, strict: bool = True, force: bool = False) -> None:
        user = self.user()
        found, row = self.tag_by_info(tag), self.known_build(build)
        if not self.hub.untag_build_by(found, row, user.id) and strict:
            raise koji.TagError(f"build {row.nvr} not in tag {found.name}")

    @rpc()
    def queryHistory(
        self, tables: Any = None, tag: Any = None, package: Any = None, build: Any = None, **other: Any
    ) -> Any:
        """Only the table tag_listing: which builds were tagged and untagged when."""
        if tables is not None and tables != ["tag_listing"]:
            raise koji.GenericError(f"the stand-in hub keeps history of tag_listing only, not {tables}")
        package_id = self.world.package_id(package) if isinstance(package, str) else package
        build_id = None if build is None else self.known_build(build).id
        found = []
        for each in [self.tag_by_info(tag)] if tag is not None else self.world.tags.values():
            for entry in self.world.tagged.all(each.id):
                row = self.world.builds[entry.value]
                if (package is not None and row.package_id != package_id) or build_id not in (None, row.id):
                    continue
                found.append(self._history_row(each.id, row, entry))
        return {"tag_listing": found}

    def _history_row(self, tag_id: int, build: Build, entry: Any) -> dict[str, Any]:
        revoked = entry.revoke_event
        return {
            "tag_id": tag_id,
            "tag.name": self.world.tags[tag_id].name,
            "build_id": build.id,
            "build.state": build.state,
            "name": build.source.name,
            "version": build.source.version,
            "release": build.source.release,
            "epoch": build.source.epoch,
            "active": True if revoked is None else None,
            "create_event": entry.create_event,
            "create_ts": self.world.event_ts(entry.create_event),
            "creator_id": entry.creator,
            "creator_name": self.world.users[entry.creator].name,
            "revoke_event": revoked,
            "revoke_ts": None if revoked is None else self.world.event_ts(revoked),
            "revoker_id": entry.revoker,
            "revoker_name": None if entry.revoker is None else self.world.users[entry.revoker].name,
        }


def _within(ts: float | None, after: Any, before: Any) -> bool:
    """Whether the time lies between two that come as seconds or text; nothing has no time."""
    if after is None and before is None:
        return True
    if ts is None:
        return False
    return (after is None or ts > seconds(after)) and (before is None or ts < seconds(before))


def seconds(value: Any) -> float:
    """A point in time from a client: seconds since 1970, or ISO text in UTC."""
    if isinstance(value, (int, float)):
        return float(value)
    try:
        parsed = dt.datetime.fromisoformat(str(value))
    except ValueError as error:
        raise koji.ParameterError(f"Invalid time: {value!r}") from error
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)).timestamp()
