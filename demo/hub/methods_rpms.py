"""Methods about RPMs: lists, dependencies and headers."""

# ruff: noqa: N802, N803

from __future__ import annotations

from typing import Any

import koji

from . import queryopts, rows
from .rpc import Methods, named, rpc
from .rpmdata import Dep, all_headers, binary_provides, header, parse_deps, srpm_requires
from .tables import Rpm


class RpmMethods(Methods):
    def find_rpm(self, info: Any) -> Rpm | None:
        """By id, N-V-R.A or a dict with either."""
        if isinstance(info, dict):
            info = info["id"] if "id" in info else "{name}-{version}-{release}.{arch}".format(**info)
        return self.world.rpm(named(info))

    def _no_rpm(self, info: Any, strict: bool) -> None:
        if not strict:
            return
        if isinstance(info, str):
            info = koji.parse_NVRA(info)
        raise koji.GenericError(f"No such rpm: {info!r}")

    def _readable(self, rpm: Rpm, strict: bool) -> bool:
        """Whether the RPM's file is there to be read."""
        if rpm.binary is None and rpm.build.nvr in self.hub.faults.hidden_srpms:
            if strict:
                raise koji.GenericError(f"Missing rpm file: {rpm.nvra}.rpm")
            return False
        return True

    @rpc()
    def getRPM(self, rpminfo: Any, strict: bool = False, multi: bool = False) -> Any:
        rpm = self.find_rpm(rpminfo)
        if rpm is None:
            self._no_rpm(rpminfo, strict)
            return [] if multi else None
        return [rows.rpm_info(rpm)] if multi else rows.rpm_info(rpm)

    @rpc()
    def listRPMs(
        self,
        buildID: Any = None,
        buildrootID: Any = None,
        imageID: Any = None,
        componentBuildrootID: Any = None,
        hostID: Any = None,
        arches: Any = None,
        queryOpts: Any = None,
        draft: Any = None,
    ) -> Any:
        build = None if buildID is None else self.world.build(named(buildID))
        wanted = [arches] if isinstance(arches, str) else arches
        rpms = list(self.world.rpms.values()) if buildID is None else build.rpms if build else []
        return queryopts.apply([rows.listed_rpm(rpm) for rpm in rpms if not wanted or rpm.arch in wanted], queryOpts)

    @rpc()
    def listBuildRPMs(self, build: Any) -> Any:
        found = self.world.build(named(build))
        if found is None:
            raise koji.GenericError(f"No such build: {build!r}")
        return self.listRPMs(found.id)

    def _tagged(self, tag: Any, event: Any, inherit: bool, latest: bool, package: Any, arch: Any) -> list[list[Any]]:
        found = self.tag_by_info(tag, event)
        package_id = self.world.package_id(package) or 0 if isinstance(package, str) else package
        builds = self.world.tagged_builds(found.id, event, inherit, latest, package_id)
        arches = [arch] if isinstance(arch, str) else arch
        rpms = sorted((rpm for build, _, _ in builds for rpm in build.rpms), key=lambda rpm: rpm.id)
        return [
            [rows.tagged_rpm(rpm) for rpm in rpms if not arches or rpm.arch in arches],
            [rows.tagged_build(self.world, *each) for each in builds],
        ]

    @rpc()
    def getLatestRPMS(
        self,
        tag: Any,
        package: Any = None,
        arch: Any = None,
        event: int | None = None,
        rpmsigs: bool = False,
        type: Any = None,
        draft: Any = None,
    ) -> Any:
        return self._tagged(tag, event, True, True, package, arch)

    @rpc()
    def listTaggedRPMS(
        self,
        tag: Any,
        event: int | None = None,
        inherit: bool = False,
        latest: bool = False,
        package: Any = None,
        arch: Any = None,
        rpmsigs: bool = False,
        owner: Any = None,
        type: Any = None,
        strict: bool = True,
        extra: bool = True,
        draft: Any = None,
    ) -> Any:
        return self._tagged(tag, event, inherit, bool(latest), package, arch)

    @rpc()
    def queryRPMSigs(self, rpm_id: Any = None, sigkey: Any = None, queryOpts: Any = None) -> list[Any]:
        return []

    @rpc()
    def getRPMDeps(self, rpmID: Any, depType: int | None = None, queryOpts: Any = None, strict: bool = False) -> Any:
        rpm = self.find_rpm(rpmID)
        if rpm is None:
            self._no_rpm(rpmID, strict)
            return []
        if not self._readable(rpm, strict):
            return []
        found = [
            {"name": dep.name, "version": dep.version, "flags": dep.flags, "type": kind}
            for kind, deps in _deps(rpm).items()
            if depType in (None, kind)
            for dep in deps
        ]
        return queryopts.apply(found, queryOpts)

    @rpc()
    def getRPMHeaders(
        self, rpmID: Any = None, taskID: Any = None, filepath: Any = None, headers: Any = None, strict: bool = False
    ) -> Any:
        if rpmID is None and taskID is not None:
            return self._task_headers(taskID, filepath, headers, strict)
        rpm = self.find_rpm(rpmID)
        if rpm is None:
            self._no_rpm(rpmID, strict)
            return {}
        if not self._readable(rpm, strict):
            return {}
        return _select(header(rpm.build.source, rpm.binary, rpm.arch, rpm.buildtime), headers)

    def _task_headers(self, task_id: int, filepath: Any, headers: Any, strict: bool) -> dict[str, Any]:
        """Of an SRPM among a task's outputs."""
        task = self.hub.tasks.get(task_id)
        source = self.world.sources.get(str(filepath).removesuffix(".src.rpm"))
        if task is None or source is None or not (self.hub.tasks.directory(task) / str(filepath)).exists():
            if strict:
                raise koji.GenericError(f"Missing rpm file: {filepath}")
            return {}
        return _select(header(source, None, "src", int(task.create_ts)), headers)


def _deps(rpm: Rpm) -> dict[int, list[Dep]]:
    """Dependencies by koji.DEP_*."""
    source, binary = rpm.build.source, rpm.binary
    if binary is None:
        return {koji.DEP_REQUIRE: srpm_requires(source), koji.DEP_PROVIDE: [Dep(source.name, source.evr, 8)]}
    return {
        koji.DEP_REQUIRE: parse_deps(binary.requires),
        koji.DEP_PROVIDE: binary_provides(source, binary, rpm.arch),
        koji.DEP_OBSOLETE: parse_deps(binary.obsoletes),
        koji.DEP_CONFLICT: parse_deps(binary.conflicts),
        koji.DEP_RECOMMEND: parse_deps(binary.recommends),
    }


def _select(head: dict[str, Any], names: Any) -> dict[str, Any]:
    """The headers asked for, under the names they were asked by; all that are there without names."""
    if not names:
        return all_headers(head)
    for name in names:
        if name.upper() not in head:
            raise koji.GenericError(f"No such rpm header tag: {name}")
    return {name: head[name.upper()] for name in names}
