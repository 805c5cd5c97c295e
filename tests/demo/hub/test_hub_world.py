"""What the hub says of tags, package lists, builds and RPMs, now and as of an event."""

from __future__ import annotations

import koji
import pytest

from demo.hub import Binary, Hub, SourcePackage
from demo.hub.rpmdata import parse_dep
from tests.demo.hub.conftest import BASH, RNV, Client


def names(client: koji.ClientSession, tag: str, **opts: object) -> list[str]:
    return sorted(build["nvr"] for build in client.listTagged(tag, **opts))


def test_what_is_tagged_is_answered_as_of_an_event(hub: Hub, connect: Client) -> None:
    client = connect(login=False)
    before = client.getLastEvent()["id"]
    hub.untag_build("f43", RNV.nvr)
    assert names(client, "f43") == [BASH.nvr]
    assert names(client, "f43", event=before) == [BASH.nvr, RNV.nvr]


def test_the_latest_build_is_the_one_tagged_last(hub: Hub, connect: Client) -> None:
    client = connect(login=False)
    hub.import_build("f43", SourcePackage("rnv", "2", "1"))
    assert names(client, "f43", latest=True, package="rnv") == ["rnv-2-1"]
    assert names(client, "f43", package="rnv") == ["rnv-1.7.11-33.fc43", "rnv-2-1"]
    hub.tag_build("f43", RNV.nvr)
    assert names(client, "f43", latest=True, package="rnv") == [RNV.nvr]


def test_a_nearer_tag_goes_before_a_farther_one(hub: Hub, connect: Client) -> None:
    client = connect(login=False)
    hub.add_tag("f43-override")
    hub.set_parents("f43-build", ["f43-override", "f43"])
    hub.import_build("f43", SourcePackage("rnv", "2", "1"))
    hub.add_package("f43-override", "rnv")
    hub.tag_build("f43-override", RNV.nvr)
    (latest,) = client.listTagged("f43-build", inherit=True, latest=True, package="rnv")
    assert (latest["nvr"], latest["tag_name"]) == (RNV.nvr, "f43-override")
    assert names(client, "f43-build") == []


def test_blocked_packages_are_listed_as_such_and_their_builds_vanish(hub: Hub, connect: Client) -> None:
    client = connect(login=False)
    before = client.getLastEvent()["id"]
    hub.block_package("f43", "rnv")
    assert names(client, "f43-build", inherit=True) == [BASH.nvr]
    assert names(client, "f43-build", inherit=True, event=before) == [BASH.nvr, RNV.nvr]
    blocked = {row["package_name"]: row["blocked"] for row in client.listPackages(tagID="f43-build", inherited=True)}
    assert blocked == {"bash": False, "rnv": True}
    assert [row["package_name"] for row in client.listPackages(tagID="f43", with_blocked=False)] == ["bash"]
    hub.unblock_package("f43", "rnv")
    assert names(client, "f43") == [BASH.nvr, RNV.nvr]


def test_the_build_group_is_answered_as_of_an_event(hub: Hub, connect: Client) -> None:
    client = connect(login=False)
    before = client.getLastEvent()["id"]
    hub.set_group("f43-build", "build", ["bash", "gcc"])

    def group(**opts: int) -> list[str]:
        (found,) = client.getTagGroups("f43-build", **opts)
        return [package["package"] for package in found["packagelist"]]

    assert group() == ["bash", "gcc"]
    assert group(event=before) == ["bash", "make"]
    assert client.getTagGroups("f43-build", event=1) == []


def test_a_tag_says_when_it_changed_last(hub: Hub, connect: Client) -> None:
    client = connect(login=False)
    event = client.getLastEvent()["id"]
    assert client.tagChangedSinceEvent(event, [2]) is False
    hub.untag_build("f43", RNV.nvr)
    assert client.tagChangedSinceEvent(event, [2]) is True  # through inheritance
    hub.new_repo("f43-build", wait=True)
    assert client.getRepo("f43-build")["begin_event"] == event + 1


def test_an_imported_build_has_no_task_and_an_official_one_has_finished_tasks(hub: Hub, connect: Client) -> None:
    client = connect(login=False)
    imported = hub.import_build("f43", SourcePackage("old", "1", "1"), imported=True)
    official = hub.import_build("f43", SourcePackage("new", "1", "1"), repo_id=1)
    assert imported["task_id"] is None
    assert client.getTaskInfo(official["task_id"])["state"] == koji.TASK_STATES["CLOSED"]
    children = client.getTaskChildren(official["task_id"], request=True)
    assert {child["label"] for child in children} == {"srpm", "x86_64", "i686"}
    assert {child["request"][-1]["repo_id"] for child in children} == {1}


def test_build_requires_come_with_flags_and_the_rpmlib_ones(connect: Client) -> None:
    deps = connect(login=False).getRPMDeps("bash-5.2.37-1.fc43.src", koji.DEP_REQUIRE)
    assert [(dep["name"], dep["flags"], dep["version"]) for dep in deps if dep["flags"] < 16] == [
        ("(ncurses-devel or ncurses-compat)", 0, ""),
        ("gcc", 0, ""),
        ("make", 12, "4.2"),
    ]
    assert {dep["name"] for dep in deps if dep["flags"] == 16777226} == {
        "rpmlib(CompressedFileNames)",
        "rpmlib(FileDigests)",
        "rpmlib(RichDependencies)",
    }


def test_a_missing_srpm_looks_like_one_without_requires(hub: Hub, connect: Client) -> None:
    client = connect(login=False)
    hub.faults.hide_srpm(BASH.nvr)
    nvra = "bash-5.2.37-1.fc43.src"
    assert client.getRPMDeps(nvra, koji.DEP_REQUIRE) == []
    assert client.getRPMHeaders(rpmID=nvra, headers=["NAME"]) == {}
    with pytest.raises(koji.GenericError, match="Missing rpm file"):
        client.getRPMDeps(nvra, koji.DEP_REQUIRE, strict=True)
    hub.faults.clear()
    assert client.getRPMHeaders(rpmID=nvra, headers=["NAME"]) == {"NAME": "bash"}


def test_hosts_match_whole_words_of_their_raw_arches(connect: Client) -> None:
    client = connect(login=False)
    assert [host["name"] for host in client.listHosts(["i386"])] == ["builder1"]
    assert client.listHosts(["i686"]) == []
    with pytest.raises(Exception, match="syntax error"):
        client.listHosts([])


def test_query_options_order_and_limit(connect: Client) -> None:
    client = connect(login=False)
    newest = client.listTasks({"method": "buildArch"}, {"order": "-id", "limit": 2})
    assert [task["id"] for task in newest] == sorted((task["id"] for task in newest), reverse=True)
    assert len(newest) == 2
    assert client.listTasks({"method": "buildArch"}, {"countOnly": True}) == 4
    with pytest.raises(koji.ParameterError, match="Invalid order"):
        client.listTasks({}, {"order": "nonsense"})


def test_tasks_are_found_by_time_owner_and_parent(hub: Hub, connect: Client) -> None:
    client = connect()
    start = client.getTaskInfo(len(hub.tasks))["create_ts"]
    task = client.build("git+https://src.example.org/rpms/rnv#1", "f43", {"scratch": True})
    query = {"createdAfter": start, "owner": "koschei", "parent": None, "method": "build"}
    assert [each["id"] for each in client.listTasks(query)] == [task]
    assert client.listTasks({**query, "createdBefore": start}) == []


def test_mistakes_in_building_the_world_are_told(hub: Hub) -> None:
    with pytest.raises(KeyError, match="no tag 'nosuch'; there are f43, f43-build"):
        hub.add_target("x", "nosuch", "f43")
    with pytest.raises(ValueError, match="exists already"):
        hub.import_build("f43", RNV)
    with pytest.raises(KeyError, match="not on the list"):
        hub.block_package("f43", "nosuch")
    with pytest.raises(ValueError, match="cannot read dependency 'a >> 1'"):
        parse_dep("a >> 1")
    with pytest.raises(TimeoutError):
        hub.wait_for(lambda: False, timeout=0.01)


def test_a_package_may_have_extra_architectures(hub: Hub) -> None:
    hub.add_host("builder2", "s390x")
    hub.add_package("f43", "rnv", extra_arches="s390x")
    task = hub.wait_task(hub.start_build("f43", SourcePackage("rnv", "3", "1", binaries=(Binary("rnv"),))))
    assert {hub.tasks[child].label for child in task.children} >= {"x86_64", "i686", "s390x"}
