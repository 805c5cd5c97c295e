"""Taking repositories in: over HTTP, checked, shared by processes, and surviving whatever happens to them."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zstandard

from koschei.depsolve import LocalRepository, RepositoryCache, engine
from koschei.depsolve.download import STEP, HttpSource
from koschei.errors import RepositoryBroken, RepositoryError, RepositoryGone
from tests.depsolve.repositories import Rpm, Server, write_repository
from tests.support import wait_until

RPMS = [
    Rpm("b-1-1.noarch", requires=["/opt/deep/file"]),
    Rpm("a-1-1.noarch", files=["/opt/deep/file", "/usr/bin/a"], provides=["v"]),
]
COMPRESSIONS = ["gz", "xz", "zst", "bz2", "plain"]


def names(repository: LocalRepository, *build_requires: str) -> set[str]:
    resolver = engine("solv").open(
        repository, build_group=[], requests={"pkg": build_requires}, ignore_weak_deps=True, arch="x86_64"
    )
    answer = resolver.resolve("pkg")
    assert answer.problems == ()
    return {package.name for package in answer.installed}


def entries(cache: RepositoryCache) -> list[str]:
    return sorted(path.name for path in cache.folder.iterdir())


def replace_primary(folder: Path, content: bytes) -> None:
    """Give a plain repository another primary, with repomd.xml telling the truth about it."""
    (folder / "repodata/primary.xml").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    (folder / "repodata/repomd.xml").write_text(
        '<repomd xmlns="http://linux.duke.edu/metadata/repo"><data type="primary">'
        f'<checksum type="sha256">{digest}</checksum><location href="repodata/primary.xml"/></data></repomd>'
    )


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_packing_is_understood(server: Server, cache: RepositoryCache, compression: str) -> None:
    write_repository(server.folder / "repo", RPMS, compression)
    with cache.take_in(f"{server.url}/repo", "key") as repository:
        assert names(repository, "b") == {"a", "b"}
    assert entries(cache) == ["key"]


def test_a_repository_is_fetched_once_and_file_lists_only_when_needed(server: Server, cache: RepositoryCache) -> None:
    write_repository(server.folder / "repo", [RPMS[1]])
    with cache.take_in(f"{server.url}/repo/", "key") as repository:
        assert names(repository, "a", "/usr/bin/a") == {"a"}
    assert server.asked == ["/repo/repodata/repomd.xml", "/repo/repodata/primary.xml.gz"]
    with cache.take_in(f"{server.url}/repo/", "key") as repository:
        assert names(repository, "/opt/deep/file") == {"a"}
        assert server.asked[2:] == ["/repo/repodata/filelists.xml.gz"]
        assert names(repository, "/opt/deep/file") == {"a"}
    assert len(server.asked) == 3


def test_packages_are_sorted_whatever_wrote_them(repository: Callable[..., Path], cache: RepositoryCache) -> None:
    rpms = [*RPMS, Rpm("a-2-1.noarch"), Rpm("a-1-1.i686")]
    with cache.local(repository(rpms)) as one, cache.local(repository(rpms[::-1], compression="xz")) as other:
        contents = [
            zstandard.ZstdDecompressor().stream_reader(each.primary.read_bytes()).read() for each in (one, other)
        ]
    assert contents[0] == contents[1]


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("path", ["repomd.xml", "primary.xml.gz"])
def test_a_repository_that_is_not_there_any_more_is_gone(
    server: Server, cache: RepositoryCache, path: str, status: int
) -> None:
    write_repository(server.folder / "repo", RPMS)
    server.statuses[f"/repo/repodata/{path}"] = [status]
    with pytest.raises(RepositoryGone, match=str(status)):
        cache.take_in(f"{server.url}/repo", "key")
    assert entries(cache) == []
    cache.take_in(f"{server.url}/repo", "key").close()


def test_file_lists_that_are_gone_make_the_repository_gone(server: Server, cache: RepositoryCache) -> None:
    folder = write_repository(server.folder / "repo", RPMS)
    with cache.take_in(f"{server.url}/repo", "key") as repository:
        (folder / "repodata/filelists.xml.gz").unlink()
        with pytest.raises(RepositoryGone):
            names(repository, "b")


def test_a_server_in_trouble_is_asked_again(server: Server, cache: RepositoryCache) -> None:
    write_repository(server.folder / "repo", RPMS)
    server.statuses["/repo/repodata/repomd.xml"] = [503, 500]
    cache.take_in(f"{server.url}/repo", "key").close()
    assert server.asked.count("/repo/repodata/repomd.xml") == 3


def test_trouble_without_end_is_an_error_after_some_attempts(server: Server, cache: RepositoryCache) -> None:
    write_repository(server.folder / "repo", RPMS)
    server.statuses["/repo/repodata/repomd.xml"] = [503] * 10
    with pytest.raises(RepositoryError, match=r"3 attempts.*503"):
        cache.take_in(f"{server.url}/repo", "key")
    server.statuses.clear()
    server.cut.add("/repo/repodata/primary.xml.gz")
    with pytest.raises(RepositoryError, match=r"primary\.xml\.gz could not be fetched in 3 attempts"):
        cache.take_in(f"{server.url}/repo", "key")
    assert entries(cache) == []


def test_a_refusal_is_not_asked_again(server: Server, cache: RepositoryCache) -> None:
    server.statuses["/repo/repodata/repomd.xml"] = [403]
    with pytest.raises(RepositoryError, match="403"):
        cache.take_in(f"{server.url}/repo", "key")
    assert len(server.asked) == 1


def test_nobody_listening_is_an_error(cache: RepositoryCache) -> None:
    with pytest.raises(RepositoryError, match="3 attempts"):
        cache.take_in("http://127.0.0.1:1/repo", "key")


def test_stopping_ends_the_waiting(server: Server, tmp_path: Path) -> None:
    stop = threading.Event()
    cache = RepositoryCache(tmp_path / "cache", 3, retries=100, retry_pause=1000, stop=stop)
    server.statuses["/repo/repodata/repomd.xml"] = [503] * 10
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(cache.take_in, f"{server.url}/repo", "key")
        wait_until(lambda: server.asked)
        stop.set()
        with pytest.raises(RepositoryError, match="stopping"):
            waiting.result(10)


def test_a_download_says_that_it_goes_on_with_each_attempt_and_each_mebibyte(server: Server, tmp_path: Path) -> None:
    (server.folder / "long").write_bytes(bytes(5 * STEP // 2))
    (server.folder / "short").write_bytes(bytes(100))
    told: list[int] = []
    source = HttpSource(
        server.url, timeout=5, retries=1, pause=0.01, stop=threading.Event(), alive=lambda: told.append(len(told))
    )
    source.fetch("short", tmp_path / "short", STEP)
    assert len(told) == 1
    server.statuses["/long"] = [503]
    source.fetch("long", tmp_path / "long", 3 * STEP)
    assert len(told) == 1 + 2 + 2


@pytest.mark.parametrize("name", ["repomd.xml", "primary.xml.gz"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: b"<html>Sorry</html>",
        lambda content: content[:-9] + b"\x00" * 9,
        lambda content: os.urandom(len(content)),
        lambda content: content + b"x",
    ],
    ids=["empty", "truncated", "html", "tail", "noise", "longer"],
)
def test_a_damaged_repository_is_broken_and_leaves_nothing(
    server: Server, cache: RepositoryCache, name: str, damage: Callable[[bytes], bytes]
) -> None:
    folder = write_repository(server.folder / "repo", RPMS)
    path = folder / "repodata" / name
    content = path.read_bytes()
    path.write_bytes(damage(content))
    with pytest.raises(RepositoryBroken, match=r"repomd|primary"):
        cache.take_in(f"{server.url}/repo", "key")
    assert entries(cache) == []
    path.write_bytes(content)
    cache.take_in(f"{server.url}/repo", "key").close()


@pytest.mark.parametrize("tag", ["checksum", "open-checksum", "size", "open-size"])
def test_whatever_repomd_says_is_verified(repository: Callable[..., Path], cache: RepositoryCache, tag: str) -> None:
    folder = repository(RPMS)
    repomd = folder / "repodata/repomd.xml"
    text = repomd.read_text()
    wrong = "12" if "size" in tag else "0" * 64
    changed = re.sub(rf"(<{tag}\b[^>]*>)[^<]*", rf"\g<1>{wrong}", text)
    assert changed != text
    repomd.write_text(changed)
    with pytest.raises(RepositoryBroken, match=r"bytes|sha256|more than"):
        cache.local(folder)


def bomb() -> bytes:
    declarations = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    return f'<!DOCTYPE m [<!ENTITY l0 "ha">{declarations}]><metadata>&l11;</metadata>'.encode()


def one_package(inside: str = "", arch: str = "noarch", version: str = '<version epoch="0" ver="1" rel="1"/>') -> bytes:
    return (
        '<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm">'
        f'<package type="rpm"><name>a</name><arch>{arch}</arch>{version}'
        f'<checksum type="sha256" pkgid="YES">{"0" * 64}</checksum><format>{inside}</format></package></metadata>'
    ).encode()


def requires(name: str, kind: str = "requires") -> str:
    return f'<rpm:{kind}><rpm:entry name="{name}"/></rpm:{kind}>'


@pytest.mark.parametrize(
    "content",
    [
        b"<html/>",
        b"<metadata>",
        b"<metadata><package type='rpm'/></metadata>",
        b"<metadata><package type='deb'></package></metadata>",
        b"<metadata><package type='rpm'><package type='rpm'/></package></metadata>",
        one_package(version=""),
        one_package(arch=""),
        one_package().decode().encode("utf-16"),
        b'<?xml version="1.0" encoding="latin-1"?>' + one_package(),
        bomb(),
        one_package(requires("(" * 200_000)),
        one_package(requires("&#40;" * 3_000 + "a" + ")" * 3_000)),
        one_package(requires("(" + " or ".join(f"(a{n} and b{n})" for n in range(50)) + ")")),
        one_package(
            f'<rpm:conflicts><rpm:entry name="({" and ".join(f"(a{n} or b{n})" for n in range(50))})"/></rpm:conflicts>'
        ),
    ],
    ids=range(14),
)
def test_hostile_metadata_is_broken_and_harms_nobody(tmp_path: Path, cache: RepositoryCache, content: bytes) -> None:
    folder = write_repository(tmp_path / "repo", [], "plain")
    replace_primary(folder, content)
    with pytest.raises(RepositoryBroken):
        cache.local(folder)
    assert entries(cache) == []


def test_a_checksum_that_libsolv_cannot_read_breaks_the_repository(tmp_path: Path, cache: RepositoryCache) -> None:
    folder = write_repository(tmp_path / "repo", [], "plain")
    replace_primary(folder, one_package().replace(b"0" * 64, b"00"))
    with cache.local(folder) as repository, pytest.raises(RepositoryBroken, match="libsolv"):
        names(repository)


def test_odd_but_harmless_metadata_is_accepted(tmp_path: Path, cache: RepositoryCache) -> None:
    folder = write_repository(tmp_path / "repo", [], "plain")
    replace_primary(folder, one_package(requires("(malformed") + "<!-- hm --><file>/opt/x</file>"))
    with cache.local(folder) as repository:
        assert names(repository, "/opt/x") == {"a"}


def test_a_decompression_bomb_is_stopped_at_the_size_it_admits(
    repository: Callable[..., Path], cache: RepositoryCache
) -> None:
    folder = repository(RPMS)
    packed = gzip.compress(b"<metadata>" + b" " * 50_000_000)
    (folder / "repodata/primary.xml.gz").write_bytes(packed)
    repomd = folder / "repodata/repomd.xml"
    text = re.sub(r"(<checksum[^>]*>)[^<]*", rf"\g<1>{hashlib.sha256(packed).hexdigest()}", repomd.read_text(), count=1)
    repomd.write_text(re.sub(r"(<size>)[^<]*", rf"\g<1>{len(packed)}", text, count=1))
    with pytest.raises(RepositoryBroken, match="unpacks to more than"):
        cache.local(folder)


@pytest.mark.parametrize(
    "href", ["../secret", "/etc/passwd", "http://elsewhere/x", "repodata/../../x", "", "a b", "x?y"]
)
def test_metadata_outside_the_repository_is_refused(tmp_path: Path, cache: RepositoryCache, href: str) -> None:
    folder = write_repository(tmp_path / "repo", [], "plain")
    repomd = folder / "repodata/repomd.xml"
    repomd.write_text(repomd.read_text().replace("repodata/primary.xml", href))
    with pytest.raises(RepositoryBroken, match="not a place below"):
        cache.local(folder)


def test_a_folder_without_repository_is_gone(tmp_path: Path, cache: RepositoryCache) -> None:
    with pytest.raises(RepositoryGone, match="no repository"):
        cache.local(tmp_path)


@pytest.mark.parametrize("key", ["", ".hidden", "a/b", "..", "a\nb"])
def test_a_key_must_be_the_name_of_a_folder(cache: RepositoryCache, key: str) -> None:
    with pytest.raises(ValueError, match="name of a folder"):
        cache.take_in("http://127.0.0.1:1/", key)


@pytest.mark.parametrize("victim", ["entry.json", "primary.xml.zst"])
@pytest.mark.parametrize("damage", [b"", b"garbage", None], ids=["empty", "garbage", "removed"])
def test_a_corrupt_entry_is_fetched_anew(
    server: Server, cache: RepositoryCache, victim: str, damage: bytes | None
) -> None:
    write_repository(server.folder / "repo", RPMS)
    with cache.take_in(f"{server.url}/repo", "key") as used:
        path = used.folder / victim
        path.unlink()
        if damage is not None:
            path.write_bytes(damage)
        with cache.take_in(f"{server.url}/repo", "key") as repository:
            assert names(repository, "b") == {"a", "b"}
    assert server.asked.count("/repo/repodata/primary.xml.gz") == 2
    assert entries(cache) == ["key"]


@pytest.mark.parametrize("victim", ["*.solv", "owners.json", "filelists"])
@pytest.mark.parametrize("cut", [0, 10, 100, -1])
def test_what_is_derived_from_an_entry_is_made_anew_when_corrupt(
    server: Server, cache: RepositoryCache, victim: str, cut: int
) -> None:
    write_repository(server.folder / "repo", RPMS)
    with cache.take_in(f"{server.url}/repo", "key") as repository:
        assert names(repository, "b") == {"a", "b"}
        (path,) = repository.folder.glob(victim)
        before = path.read_bytes()
        path.write_bytes(before[:cut])
        if victim == "filelists":
            (repository.folder / "owners.json").unlink()
        assert names(repository, "b") == {"a", "b"}
        assert path.read_bytes()[:60] == before[:60]
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
        if victim == "*.solv":
            assert names(repository, "b") == {"a", "b"}


def test_the_least_recently_used_is_evicted_unless_it_is_in_use(server: Server, tmp_path: Path) -> None:
    cache = RepositoryCache(tmp_path / "cache", 2)
    for number in range(5):
        write_repository(server.folder / f"r{number}", RPMS)
    used = cache.take_in(f"{server.url}/r0", "r0")
    cache.take_in(f"{server.url}/r1", "r1").close()
    cache.take_in(f"{server.url}/r2", "r2").close()
    assert entries(cache) == ["r0", "r2"]
    used.close()
    cache.take_in(f"{server.url}/r0", "r0").close()
    cache.take_in(f"{server.url}/r3", "r3").close()
    assert entries(cache) == ["r0", "r3"]
    both = [cache.take_in(f"{server.url}/r0", "r0"), cache.take_in(f"{server.url}/r3", "r3")]
    with cache.take_in(f"{server.url}/r4", "r4") as third:
        assert entries(cache) == ["r0", "r3", "r4"]
        assert names(third, "a") == {"a"}
    for repository in both:
        repository.close()
    cache.take_in(f"{server.url}/r1", "r1").close()
    assert entries(cache) == ["r1", "r4"]


PROCESS = """
import sys
from pathlib import Path
from koschei.depsolve import RepositoryCache, engine
cache = RepositoryCache(Path(sys.argv[1]), 10, retry_pause=0.01)
print("ready", flush=True)
sys.stdin.readline()
with cache.take_in(sys.argv[2], "key") as repository:
    resolver = engine("solv").open(
        repository, build_group=[], requests={"pkg": ["b"]}, ignore_weak_deps=True, arch="x86_64"
    )
    print(sorted(str(package) for package in resolver.resolve("pkg").installed), flush=True)
    sys.stdin.readline()
"""


def start(cache: RepositoryCache, url: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(cache.folder), url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def finish(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=60)
    assert process.returncode == 0


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_two_processes_fetch_a_repository_once(server: Server, cache: RepositoryCache) -> None:
    write_repository(server.folder / "repo", RPMS)
    processes = [start(cache, f"{server.url}/repo") for _ in range(2)]
    for process in processes:
        tell(process)
    assert {hear(process) for process in processes} == {"['a-1-1.noarch', 'b-1-1.noarch']\n"}
    for process in processes:
        finish(process)
    assert server.asked.count("/repo/repodata/primary.xml.gz") == 1
    assert server.asked.count("/repo/repodata/filelists.xml.gz") == 1


def test_a_repository_used_by_another_process_is_not_evicted(server: Server, cache: RepositoryCache) -> None:
    write_repository(server.folder / "repo", RPMS)
    process = start(cache, f"{server.url}/repo")
    tell(process)
    assert hear(process)
    small = RepositoryCache(cache.folder, 0)
    small.evict()
    assert entries(cache) == ["key"]
    finish(process)
    small.evict()
    assert entries(cache) == []


def test_a_process_killed_while_it_fetches_leaves_nothing_that_matters(server: Server, cache: RepositoryCache) -> None:
    write_repository(server.folder / "repo", RPMS)
    server.hold = threading.Event()
    process = start(cache, f"{server.url}/repo")
    tell(process)
    wait_until(lambda: len(server.asked) == 2)
    assert [name.split("-")[0] for name in entries(cache)] == [".prepare", ".tmp"]
    RepositoryCache(cache.folder, 10)  # cleaning up spares what is being made
    assert len(entries(cache)) == 2
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    server.hold.set()
    with cache.take_in(f"{server.url}/repo", "key") as repository:
        assert names(repository, "b") == {"a", "b"}
    RepositoryCache(cache.folder, 10)
    assert entries(cache) == ["key"]


def test_entries_of_another_format_or_place_are_not_used(server: Server, cache: RepositoryCache) -> None:
    write_repository(server.folder / "repo", RPMS)
    write_repository(server.folder / "moved", RPMS)
    cache.take_in(f"{server.url}/repo", "key").close()
    cache.take_in(f"{server.url}/moved", "key").close()
    assert "/moved/repodata/primary.xml.gz" in server.asked
    path = cache.folder / "key/entry.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 0}))
    cache.take_in(f"{server.url}/moved", "key").close()
    assert server.asked.count("/moved/repodata/primary.xml.gz") == 2
