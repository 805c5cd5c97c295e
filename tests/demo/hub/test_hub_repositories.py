"""Repositories: their life, their files, and what they show of a tag."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import koji
import pytest

from demo.hub import Binary, Hub, SourcePackage
from demo.hub.createrepo import createrepo_c
from demo.hub.repodata import RepodataWriter
from tests.demo.hub.conftest import Client, ManualClock

Still = tuple[Hub, ManualClock]


def repodata(hub: Hub, repo_id: int, arch: str = "x86_64") -> Path:
    return hub.topdir / "repos" / "f43-build" / str(repo_id) / arch / "repodata"


def packages(directory: Path) -> list[Any]:
    """The packages of a repository, read back; every file's checksum and size is checked on the way."""
    repomd = createrepo_c.Repomd(str(directory / "repomd.xml"))
    paths = {}
    for record in repomd.records:
        path = directory.parent / record.location_href
        data = path.read_bytes()
        assert record.checksum_type == "sha256"
        assert hashlib.sha256(data).hexdigest() == record.checksum
        assert len(data) == record.size
        paths[record.type] = str(path)
    assert set(paths) == {"primary", "filelists", "other"}
    found: list[Any] = []
    createrepo_c.xml_parse_primary(paths["primary"], pkgcb=found.append)
    by_id = {package.pkgId: package for package in found}
    createrepo_c.xml_parse_filelists(paths["filelists"], newpkgcb=lambda pkg_id, *_: by_id[pkg_id])
    return found


@pytest.mark.parametrize("compression", ["zstd", "gz"])
def test_the_metadata_says_what_the_packages_are(hub: Hub, compression: str) -> None:
    hub.repos.writer = RepodataWriter(hub.topdir, compression)
    repo = hub.new_repo("f43-build", wait=True)
    found = {package.name: package for package in packages(repodata(hub, repo))}
    assert set(found) == {"bash", "bash-doc", "rnv"}
    bash = found["bash"]
    assert bash.nevra() == "bash-0:5.2.37-1.fc43.x86_64"
    assert bash.location_href == "toplink/packages/bash/5.2.37/1.fc43/x86_64/bash-5.2.37-1.fc43.x86_64.rpm"
    assert bash.rpm_sourcerpm == "bash-5.2.37-1.fc43.src.rpm"
    assert [dep[0] for dep in bash.requires] == ["libc.so.6()(64bit)"]
    assert ("sh", "EQ", "0", "5", None, False) in bash.provides
    assert ("bash", "EQ", "0", "5.2.37", "1.fc43", False) in bash.provides
    assert {directory + name for _, directory, name, *_ in bash.files} == {"/usr/bin/bash", "/usr/bin/sh"}
    assert found["bash-doc"].arch == "noarch"


def test_each_architecture_has_its_own_under_its_canonical_name(hub: Hub) -> None:
    assert {package.arch for package in packages(repodata(hub, 1, "i386"))} == {"i686", "noarch"}
    assert not repodata(hub, 1, "i686").exists()
    assert (hub.topdir / "repos" / "f43-build" / "latest").resolve().name == "1"


def test_dependencies_of_every_form_come_through(hub: Hub) -> None:
    binary = Binary(
        "lib",
        requires=("a", "b >= 1:2-3", "c < 4", "/usr/bin/d", "(e or f)"),
        conflicts=("g = 5",),
        obsoletes=("h <= 6-1",),
        recommends=("i > 7",),
    )
    hub.import_build("f43", SourcePackage("lib", "1", "1", epoch=2, binaries=(binary,)))
    repo = hub.new_repo("f43-build", wait=True)
    (lib,) = [package for package in packages(repodata(hub, repo)) if package.name == "lib"]
    assert sorted(dep[:5] for dep in lib.requires) == sorted(
        [
            ("a", None, None, None, None),
            ("b", "GE", "1", "2", "3"),
            ("c", "LT", "0", "4", None),
            ("/usr/bin/d", None, None, None, None),
            ("(e or f)", None, None, None, None),
        ]
    )
    assert [dep[:5] for dep in lib.conflicts] == [("g", "EQ", "0", "5", None)]
    assert [dep[:5] for dep in lib.obsoletes] == [("h", "LE", "0", "6", "1")]
    assert [dep[:5] for dep in lib.recommends] == [("i", "GT", "0", "7", None)]
    assert lib.epoch == "2"


def test_packages_are_sorted_and_equal_worlds_give_equal_metadata(hub: Hub) -> None:
    names = [package.nevra() for package in packages(repodata(hub, 1))]
    assert names == sorted(names)
    again = hub.new_repo("f43-build", wait=True)
    first, second = (packages(repodata(hub, repo)) for repo in (1, again))
    assert [package.pkgId for package in first] == [package.pkgId for package in second]


def test_a_repository_goes_from_init_to_ready_and_the_older_one_stays_ready(still_hub: Still) -> None:
    hub, clock = still_hub
    hub.untag_build("f43", "rnv-1.7.11-33.fc43")
    new = hub.new_repo("f43-build")
    assert hub.repos.get(new).state == koji.REPO_STATES["INIT"]
    assert not repodata(hub, new).exists()
    clock.now += 31
    hub.tick()
    assert [repo.state for repo in hub.repos] == [koji.REPO_STATES["READY"]] * 2
    assert {package.name for package in packages(repodata(hub, new))} == {"bash", "bash-doc"}
    assert {package.name for package in packages(repodata(hub, 1))} == {"bash", "bash-doc", "rnv"}


def test_a_repository_shows_its_tag_as_of_its_event(still_hub: Still) -> None:
    hub, clock = still_hub
    repo = hub.new_repo("f43-build")
    hub.untag_build("f43", "bash-5.2.37-1.fc43")
    clock.now += 31
    hub.tick()
    assert "bash" in {package.name for package in packages(repodata(hub, repo))}
    assert "bash" in hub.repos.get(repo).builds


def test_expired_deleted_and_failed_repositories_are_told_as_such(hub: Hub, connect: Client) -> None:
    client = connect(login=False)
    expired, deleted, failed = (hub.new_repo("f43-build", wait=True) for _ in range(3))
    hub.expire_repo(expired)
    hub.delete_repo(deleted)
    hub.fail_repo(failed)
    states = [client.repoInfo(repo)["state"] for repo in (1, expired, deleted, failed)]
    assert [koji.REPO_STATES[state] for state in states] == ["READY", "EXPIRED", "DELETED", "PROBLEM"]
    assert repodata(hub, expired).exists()
    assert not repodata(hub, deleted).exists()
    assert client.getRepo("f43-build", state=koji.REPO_READY)["id"] == 1


def test_with_an_event_the_state_does_not_matter(still_hub: Still) -> None:
    hub, _ = still_hub
    unfinished = hub.repos.get(hub.new_repo("f43-build"))
    assert hub.repos.newest(2, koji.REPO_READY).id == 1
    assert hub.repos.newest(2, koji.REPO_READY, event=unfinished.create_event).id == unfinished.id
    assert hub.repos.newest(2, koji.REPO_READY, event=unfinished.create_event - 1).id == 1


def test_a_change_makes_a_new_repository_by_itself_when_told_so(hub: Hub) -> None:
    hub.auto_repo("f43-build")
    hub.import_build("f43", SourcePackage("new", "1", "1", binaries=(Binary("new"),)))
    hub.wait_for(lambda: len(list(hub.repos)) == 2)
    hub.wait_repo(2)
    assert "new" in {package.name for package in packages(repodata(hub, 2))}
    hub.auto_repo("f43-build", False)
    hub.untag_build("f43", "new-1-1")
    task = hub.start_build("f43", SourcePackage("unrelated", "1", "1"))
    hub.wait_task(task)
    assert len(list(hub.repos)) == 2


def test_changes_that_come_together_make_one_repository(still_hub: Still) -> None:
    hub, clock = still_hub
    hub.auto_repo("f43-build")
    for number in range(10):
        hub.add_package("f43", f"package{number}")
    for _ in range(50):
        clock.now += 1
        hub.tick()
    assert len(list(hub.repos)) == 2


def test_a_repository_can_be_asked_for(hub: Hub, connect: Client) -> None:
    client = connect()
    have = client.repo.request("f43-build")
    assert (have["repo"]["id"], have["request"], have["duplicate"]) == (1, None, False)
    hub.untag_build("f43", "rnv-1.7.11-33.fc43")
    event = client.getLastEvent()["id"]
    wish = client.repo.request("f43-build", min_event=event)
    assert wish["repo"] is None
    hub.wait_for(lambda: len(list(hub.repos)) == 2)
    hub.wait_repo(2)
    granted = client.repo.checkRequest(wish["request"]["id"])
    assert (granted["repo"]["id"], granted["request"]["active"]) == (2, False)
    assert client.repo.request("f43-build", min_event=event)["repo"]["id"] == 2


def test_the_same_wish_twice_is_a_duplicate(still_hub: Still) -> None:
    hub, _ = still_hub
    tag = hub.tag("f43-build")
    first, duplicate = hub.repos.request(tag, 2, 10_000, 20)
    again, also = hub.repos.request(tag, 2, 10_000, 20)
    assert (first.id, duplicate, again.id, also) == (1, False, 1, True)


def test_a_thousand_packages_take_well_under_two_seconds_of_work(still_hub: Still) -> None:
    hub, _ = still_hub
    for number in range(500):
        binaries = tuple(
            Binary(
                f"p{number}-{part}", requires=("bash", f"p{number // 2}-a >= 1"), files=(f"/usr/bin/p{number}{part}",)
            )
            for part in "ab"
        )
        hub.import_build("f43", SourcePackage(f"p{number}", "1", "1", binaries=binaries), announce=False)
    start = time.thread_time()
    repo = hub.new_repo("f43-build", wait=True)
    duration = time.thread_time() - start
    assert len(packages(repodata(hub, repo))) == 1003
    assert duration < 2.0


def test_a_compression_nobody_reads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="choose 'zstd' or 'gz'"):
        RepodataWriter(tmp_path, "lzip").write(tmp_path, "x86_64", [])
