"""The world the hub knows: users, hosts, tags, targets, package lists, groups, builds and RPMs, with their history.

Only data and the rules between them; no tasks, no repositories, no protocol. Each change takes a new event. Names that
are not there give None: the texts of faults belong to the methods.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import koji

from .tables import Build, Entry, GroupMember, History, Host, Listed, Parent, Rpm, Tag, TagConfig, Target, User
from .values import Binary, SourcePackage

CHANNELS = ("default", "createrepo", "maven", "livecd", "appliance", "vm", "image", "livemedia")


class World:
    """All tables. `clock` gives the current time in seconds since 1970."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.event_times: list[float] = []
        self.users: dict[int, User] = {}
        self.hosts: dict[int, Host] = {}
        self.tags: dict[int, Tag] = {}
        self.targets: dict[int, Target] = {}
        self.packages: dict[int, str] = {}
        self.builds: dict[int, Build] = {}
        self.rpms: dict[int, Rpm] = {}
        self.sources: dict[str, SourcePackage] = {}
        self.tag_configs: History[TagConfig] = History()
        self.parents: History[Parent] = History()
        self.listings: History[Listed] = History()
        self.tagged: History[int] = History()
        self.group_members: History[GroupMember] = History()
        self._user_ids: dict[str, int] = {}
        self._tag_ids: dict[str, int] = {}
        self._package_ids: dict[str, int] = {}
        self._build_ids: dict[str, int] = {}
        self._rpm_ids: dict[str, int] = {}
        self._changes: dict[int, list[int]] = {}

    # events

    def new_event(self, *tag_ids: int) -> int:
        """The next event; the tags named count as changed by it."""
        self.event_times.append(self.clock())
        event = len(self.event_times)
        for tag_id in tag_ids:
            self._changes.setdefault(tag_id, []).append(event)
        return event

    def event_ts(self, event: int) -> float:
        return self.event_times[event - 1]

    def last_change(self, tag_id: int, before: int | None = None) -> int:
        """The last event (up to `before`) that changed the tag or one it inherits from; 0 when there is none."""
        last = 0
        for each in self.tag_order(tag_id, before):
            changes = self._changes.get(each, [])
            index = len(changes) if before is None else bisect.bisect_right(changes, before)
            last = max(last, changes[index - 1] if index else 0)
        return last

    # users and hosts

    def add_user(
        self, name: str, password: str | None, admin: bool, krb_principal: str | None, usertype: int = 0
    ) -> User:
        if name in self._user_ids:
            raise ValueError(f"user {name!r} exists already")
        principals = (krb_principal,) if krb_principal else ()
        user = User(len(self.users) + 1, name, password, admin, principals, usertype)
        self.users[user.id] = user
        self._user_ids[name] = user.id
        return user

    def user(self, name_or_id: str | int) -> User | None:
        if isinstance(name_or_id, str):
            name_or_id = self._user_ids.get(name_or_id, 0)
        return self.users.get(name_or_id)

    def add_host(self, name: str, arches: str, capacity: float) -> Host:
        user = self.add_user(name, None, False, None, usertype=koji.USERTYPES["HOST"])
        host = Host(len(self.hosts) + 1, name, user.id, arches, capacity, update_ts=self.clock())
        self.hosts[host.id] = host
        return host

    def host(self, name_or_id: str | int) -> Host | None:
        return next((host for host in self.hosts.values() if name_or_id in (host.name, host.id)), None)

    # tags, inheritance and targets

    def add_tag(self, name: str, arches: str, user: int) -> Tag:
        if name in self._tag_ids:
            raise ValueError(f"tag {name!r} exists already")
        tag_id = len(self.tags) + 1
        tag = Tag(tag_id, name, self.new_event(tag_id))
        self.tags[tag.id] = tag
        self._tag_ids[name] = tag.id
        self.tag_configs.add(tag.id, TagConfig(arches), tag.create_event, user)
        return tag

    def configure_tag(self, tag: Tag, config: TagConfig, user: int) -> None:
        event = self.new_event(tag.id)
        self._revoke(self.tag_configs.active(tag.id), event, user)
        self.tag_configs.add(tag.id, config, event, user)

    def tag(self, name_or_id: str | int, event: int | None = None) -> Tag | None:
        if isinstance(name_or_id, str):
            name_or_id = self._tag_ids.get(name_or_id, 0)
        tag = self.tags.get(name_or_id)
        if tag is not None and event is not None and tag.create_event > event:
            return None
        return tag

    def tag_config(self, tag_id: int, event: int | None = None) -> TagConfig:
        entries = self.tag_configs.active(tag_id, event)
        return entries[0].value if entries else TagConfig()

    def set_parents(self, tag: Tag, parents: Sequence[Tag], user: int) -> None:
        event = self.new_event(tag.id)
        self._revoke(self.parents.active(tag.id), event, user)
        for priority, parent in enumerate(parents):
            self.parents.add(tag.id, Parent(tag.id, parent.id, priority), event, user)

    def inheritance(self, tag_id: int, event: int | None = None, depth: int = 1) -> list[tuple[Parent, int]]:
        """All ancestors, nearest first by priority, each once, with their depth from 1."""
        found: list[tuple[Parent, int]] = []
        for entry in sorted(self.parents.active(tag_id, event), key=lambda entry: entry.value.priority):
            found.append((entry.value, depth))
            found += self.inheritance(entry.value.parent_id, event, depth + 1)
        nearest: dict[int, tuple[Parent, int]] = {}
        for pair in found:
            nearest.setdefault(pair[0].parent_id, pair)
        return list(nearest.values())

    def tag_order(self, tag_id: int, event: int | None = None, inherit: bool = True) -> list[int]:
        """The tag and what it inherits from, in the order in which Koji looks things up."""
        ancestors = self.inheritance(tag_id, event) if inherit else []
        return [tag_id, *(parent.parent_id for parent, _ in ancestors)]

    def add_target(self, name: str, build_tag: Tag, dest_tag: Tag) -> Target:
        target = Target(len(self.targets) + 1, name, build_tag.id, dest_tag.id)
        self.targets[target.id] = target
        return target

    def target(self, name_or_id: str | int) -> Target | None:
        return next((each for each in self.targets.values() if name_or_id in (each.name, each.id)), None)

    # package lists and groups

    def package_id(self, name: str, create: bool = False) -> int | None:
        if name not in self._package_ids and create:
            self._package_ids[name] = len(self.packages) + 1
            self.packages[self._package_ids[name]] = name
        return self._package_ids.get(name)

    def list_package(self, tag: Tag, listed: Listed, user: int) -> None:
        """Put the package on the tag's list, replacing what the list says of it now."""
        event = self.new_event(tag.id)
        mine = [entry for entry in self.listings.active(tag.id) if entry.value.package_id == listed.package_id]
        self._revoke(mine, event, user)
        self.listings.add(tag.id, listed, event, user)

    def package_list(
        self, tag_id: int, event: int | None = None, inherit: bool = True
    ) -> dict[int, tuple[Listed, int]]:
        """package id -> (what the nearest list says, id of that list's tag)."""
        found: dict[int, tuple[Listed, int]] = {}
        for each in self.tag_order(tag_id, event, inherit):
            for entry in self.listings.active(each, event):
                found.setdefault(entry.value.package_id, (entry.value, each))
        return found

    def set_group(self, tag: Tag, members: Iterable[GroupMember], group: str, user: int) -> None:
        event = self.new_event(tag.id)
        self._revoke([e for e in self.group_members.active(tag.id) if e.value.group == group], event, user)
        for member in members:
            self.group_members.add(tag.id, member, event, user)

    def groups(
        self, tag_id: int, event: int | None = None, inherit: bool = True
    ) -> dict[str, list[tuple[GroupMember, int]]]:
        """Group name -> its members with the tag each comes from; inherited members are added to nearer ones."""
        found: dict[str, dict[str, tuple[GroupMember, int]]] = {}
        for each in self.tag_order(tag_id, event, inherit):
            for entry in self.group_members.active(each, event):
                found.setdefault(entry.value.group, {}).setdefault(entry.value.package, (entry.value, each))
        return {name: [members[package] for package in sorted(members)] for name, members in sorted(found.items())}

    # builds

    def add_build(self, build: Build) -> Build:
        self.builds[build.id] = build
        self._build_ids[build.nvr] = build.id
        self.sources[build.nvr] = build.source
        return build

    def next_build_id(self) -> int:
        return len(self.builds) + 1

    def build(self, nvr_or_id: str | int) -> Build | None:
        if isinstance(nvr_or_id, str):
            nvr_or_id = self._build_ids.get(nvr_or_id, 0)
        return self.builds.get(nvr_or_id)

    def add_rpms(self, build: Build, arches: Iterable[str]) -> None:
        """Give the build its source RPM and the binaries it has on these arches ('noarch' ones once)."""
        wanted: list[tuple[Binary | None, str]] = [(None, "src")]
        arches = list(arches)
        for binary in build.source.binaries:
            if binary.arch == "noarch":
                wanted.append((binary, "noarch"))
            else:
                wanted += [(binary, arch) for arch in arches if arch != "noarch"]
        for each, arch in wanted:
            rpm = Rpm(len(self.rpms) + 1, build, each, arch, int(build.completion_ts or self.clock()))
            self.rpms[rpm.id] = rpm
            self._rpm_ids[rpm.nvra] = rpm.id
            build.rpms.append(rpm)

    def rpm(self, nvra_or_id: str | int) -> Rpm | None:
        if isinstance(nvra_or_id, str):
            nvra_or_id = self._rpm_ids.get(nvra_or_id, 0)
        return self.rpms.get(nvra_or_id)

    def tag_build(self, tag: Tag, build: Build, user: int) -> int:
        """Tag the build (again, if it is tagged already: that makes it the latest)."""
        event = self.new_event(tag.id)
        self._revoke([entry for entry in self.tagged.active(tag.id) if entry.value == build.id], event, user)
        self.tagged.add(tag.id, build.id, event, user)
        return event

    def untag_build(self, tag: Tag, build: Build, user: int) -> bool:
        entries = [entry for entry in self.tagged.active(tag.id) if entry.value == build.id]
        if entries:
            self._revoke(entries, self.new_event(tag.id), user)
        return bool(entries)

    def tagged_builds(
        self,
        tag_id: int,
        event: int | None = None,
        inherit: bool = False,
        latest: bool = False,
        package: int | None = None,
    ) -> list[tuple[Build, Entry[int], int]]:
        """Builds in the tag, last tagged first, nearer tags first, without packages that are blocked or unlisted.

        Latest means: of each package the last tagged one of the nearest tag that has any.
        """
        listed = self.package_list(tag_id, event)
        found: list[tuple[Build, Entry[int], int]] = []
        seen: set[int] = set()
        for each in self.tag_order(tag_id, event, inherit):
            for entry in sorted(self.tagged.active(each, event), key=lambda entry: -entry.create_event):
                build = self.builds[entry.value]
                key = build.package_id if latest else build.id
                if package not in (None, build.package_id) or key in seen or build.package_id not in listed:
                    continue
                if listed[build.package_id][0].blocked:
                    continue
                seen.add(key)
                found.append((build, entry, each))
        return found

    @staticmethod
    def _revoke(entries: Iterable[Entry[Any]], event: int, user: int) -> None:
        for entry in entries:
            entry.revoke_event, entry.revoker = event, user
