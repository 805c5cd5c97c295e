"""Methods about tags, inheritance, targets, package lists and groups."""

# ruff: noqa: N802, N803

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import koji

from . import queryopts, rows
from .rpc import Methods, integer, named, rpc


class TagMethods(Methods):
    @rpc()
    def getTag(self, tagInfo: Any, strict: bool = False, event: int | None = None, blocked: bool = False) -> Any:
        tag = self.world.tag(named(tagInfo), event)
        if tag is None:
            return self.tag_by_info(tagInfo, event) if strict else None
        return rows.tag(self.world, tag, event)

    @rpc()
    def getBuildConfig(self, tag: Any, event: int | None = None) -> Any:
        found = self.tag_by_info(tag, event)
        answer = rows.tag(self.world, found, event)
        inherited: dict[str, Any] = {"extra": {}, "arches": None}
        for parent, _ in self.world.inheritance(found.id, event):
            arches = self.world.tag_config(parent.parent_id, event).arches
            if not answer["arches"] and arches:
                answer["arches"] = arches
                inherited["arches"] = {"tag_id": parent.parent_id, "name": self.world.tags[parent.parent_id].name}
        return {**answer, "config_inheritance": inherited}

    @rpc()
    def getAllArches(self) -> list[str]:
        words = [arch for host in self.world.hosts.values() for arch in host.arches.split()]
        return list(dict.fromkeys(koji.canonArch(arch) for arch in words))

    @rpc()
    def listTags(
        self,
        build: Any = None,
        package: Any = None,
        perms: bool = True,
        queryOpts: Any = None,
        pattern: str | None = None,
    ) -> Any:
        if build is not None:
            row = self.world.build(named(build))
            if row is None:
                raise koji.GenericError(f"No such build: {build!r}")
            tags = [
                tag
                for tag in self.world.tags.values()
                if any(e.value == row.id for e in self.world.tagged.active(tag.id))
            ]
        elif package is not None:
            wanted = self.world.package_id(package) if isinstance(package, str) else package
            tags = [tag for tag in self.world.tags.values() if wanted in self.world.package_list(tag.id, inherit=False)]
        else:
            tags = list(self.world.tags.values())
        found = [{key: value for key, value in rows.tag(self.world, tag).items() if key != "extra"} for tag in tags]
        if pattern:
            found = [row for row in found if fnmatchcase(row["name"], pattern)]
        return queryopts.apply(found, queryOpts)

    @rpc(write=True)
    def createTag(self, name: str, parent: Any = None, arches: str | None = None, **other: Any) -> int:
        self.need("tag")
        if self.world.tag(name):
            raise koji.GenericError(f"A tag with the name '{name}' already exists")
        parents = [self.tag_by_info(parent).name] if parent is not None else []
        return self.hub.add_tag(name, arches or "", parents)

    @rpc()
    def getFullInheritance(self, tag: Any, event: int | None = None, reverse: bool = False, **other: Any) -> Any:
        found = self.world.inheritance(self.tag_by_id(tag).id, event)
        extra: dict[str, Any] = {"nextdepth": None, "filter": []}
        return [{**rows.inheritance(self.world, row), **extra, "currdepth": depth} for row, depth in found]

    @rpc()
    def getInheritanceData(self, tag: Any, event: int | None = None) -> Any:
        entries = self.world.parents.active(self.tag_by_id(tag).id, event)
        return [rows.inheritance(self.world, entry.value) for entry in sorted(entries, key=lambda e: e.value.priority)]

    @rpc()
    def tagChangedSinceEvent(self, event: int, taglist: list[int]) -> bool:
        return any(self.world.last_change(integer(tag)) > event for tag in taglist)

    @rpc()
    def tagLastChangeEvent(self, tag: Any, before: int | None = None, inherit: bool = True) -> int | None:
        return self.world.last_change(self.tag_by_info(tag).id, before) or None

    @rpc()
    def getTagExternalRepos(self, tag_info: Any = None, repo_info: Any = None, event: int | None = None) -> list[Any]:
        return []

    @rpc()
    def getExternalRepoList(self, tag_info: Any, event: int | None = None) -> list[Any]:
        self.tag_by_info(tag_info)
        return []

    @rpc()
    def mavenEnabled(self) -> bool:
        return False

    # targets

    @rpc()
    def getBuildTarget(self, info: Any, event: int | None = None, strict: bool = False) -> Any:
        target = self.world.target(named(info))
        if target is None:
            if strict:
                raise koji.GenericError(f"No such build target: {info}")
            return None
        return rows.target(self.world, target)

    @rpc()
    def getBuildTargets(
        self,
        info: Any = None,
        event: int | None = None,
        buildTagID: Any = None,
        destTagID: Any = None,
        queryOpts: Any = None,
    ) -> Any:
        build_tag = None if buildTagID is None else self.tag_by_id(buildTagID).id
        dest_tag = None if destTagID is None else self.tag_by_id(destTagID).id
        found = [
            rows.target(self.world, target)
            for target in self.world.targets.values()
            if info in (None, target.id, target.name)
            and build_tag in (None, target.build_tag)
            and dest_tag in (None, target.dest_tag)
        ]
        return queryopts.apply(found, queryOpts)

    @rpc(write=True)
    def createBuildTarget(self, name: str, build_tag: Any, dest_tag: Any) -> None:
        self.need("target")
        if self.world.target(name):
            raise koji.GenericError(f"A build target with the name '{name}' already exists")
        self.world.add_target(name, self.tag_by_info(build_tag), self.tag_by_info(dest_tag))

    # package lists

    @rpc()
    def listPackages(
        self,
        tagID: Any = None,
        userID: Any = None,
        pkgID: Any = None,
        prefix: str | None = None,
        inherited: bool = False,
        with_dups: bool = False,
        event: int | None = None,
        queryOpts: Any = None,
        with_owners: bool = True,
        with_blocked: bool = True,
    ) -> Any:
        if tagID is userID is pkgID is None:
            return self.listPackagesSimple(prefix, queryOpts)
        if tagID is None:
            lists = [(tag.id, False) for tag in self.world.tags.values()]
        else:
            lists = [(self.tag_by_id(tagID).id, inherited)]
        owner = None if userID is None else self.world.user(named(userID))
        package = self.world.package_id(pkgID) if isinstance(pkgID, str) else pkgID
        found = []
        for tag_id, inherit in lists:
            for listed, where in self.world.package_list(tag_id, event, inherit).values():
                name = self.world.packages[listed.package_id]
                if (owner is not None and listed.owner_id != owner.id) or (
                    pkgID is not None and listed.package_id != package
                ):
                    continue
                if (listed.blocked and not with_blocked) or (prefix and not name.startswith(prefix.lower())):
                    continue
                found.append(rows.listed(self.world, listed, where, with_owners))
        return queryopts.apply(found, queryOpts)

    @rpc()
    def listPackagesSimple(self, prefix: str | None = None, queryOpts: Any = None) -> Any:
        found = [
            {"package_id": package_id, "package_name": name}
            for package_id, name in self.world.packages.items()
            if not prefix or name.startswith(prefix)
        ]
        return queryopts.apply(found, queryOpts)

    @rpc()
    def getPackage(self, info: Any, strict: bool = False, create: bool = False) -> Any:
        package_id = self.getPackageID(named(info), strict)
        return None if package_id is None else {"id": package_id, "name": self.world.packages[package_id]}

    @rpc()
    def getPackageID(self, name: Any, strict: bool = False) -> Any:
        package_id = self.world.package_id(name) if isinstance(name, str) else name
        if package_id not in self.world.packages:
            if strict:
                raise koji.GenericError(
                    f"No such package: {name!r}" if isinstance(name, str) else f"No such package: {name}"
                )
            return None
        return package_id

    @rpc()
    def getPackageConfig(self, tag: Any, pkg: Any, event: int | None = None) -> Any:
        found = self.world.package_list(self.tag_by_id(tag).id, event).get(self.getPackageID(named(pkg)) or 0)
        return rows.listed(self.world, *found) if found else None

    # groups

    @rpc()
    def getTagGroups(
        self,
        tag: Any,
        event: int | None = None,
        inherit: bool = True,
        incl_pkgs: bool = True,
        incl_reqs: bool = True,
        incl_blocked: bool = False,
    ) -> Any:
        answer = []
        groups = self.world.groups(self.tag_by_id(tag).id, event, inherit)
        for group_id, (name, members) in enumerate(groups.items(), 1):
            tag_id = members[0][1]
            packages = [
                {
                    "group_id": group_id,
                    "tag_id": member_tag,
                    "package": member.package,
                    "type": member.type,
                    "blocked": False,
                    "basearchonly": None,
                    "requires": None,
                }
                for member, member_tag in members
            ]
            answer.append(
                {
                    "group_id": group_id,
                    "name": name,
                    "display_name": name,
                    "tag_id": tag_id,
                    "blocked": False,
                    "biarchonly": False,
                    "description": None,
                    "exported": True,
                    "is_default": None,
                    "langonly": None,
                    "uservisible": True,
                    "packagelist": packages if incl_pkgs else [],
                    "grouplist": [],
                }
            )
        return answer
