"""Resolve any RPM repository for a list of source packages, and say how long it took.

    python -m bench.resolve --repo DIR [--repo DIR ...] --sources FILE [--sample N --seed S] [--weak] [--dump OUT.json]

DIR has a `repodata`, or only a primary.xml in any packing. FILE is JSON (or JSON packed with zstd): an object with
`group`, the build group, and `sources`, BuildRequires by source package; or `requests`, a list of BuildRequires lists.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from koschei.depsolve import Answer, LocalRepository, Nevra, RepositoryCache, engine
from koschei.depsolve.compression import plain_chunks

LIMIT = 4 << 30


def read_json(path: Path) -> Any:
    return json.loads(b"".join(plain_chunks(path, LIMIT)))


def read_sources(path: Path) -> tuple[list[str], dict[str, list[str]]]:
    """The build group and the BuildRequires by source; requests without names are called by their number."""
    data = read_json(path)
    if "sources" in data:
        return data["group"], dict(data["sources"])
    return data["group"], {str(number): request for number, request in enumerate(data["requests"])}


def full_nevra(package: Nevra) -> str:
    """With the epoch even when it is zero, as hawkey writes it."""
    return f"{package.name}-{package.epoch}:{package.version}-{package.release}.{package.arch}"


def as_expected(answer: Answer, distances: Mapping[str, int]) -> list[Any]:
    """An answer in the form of expected-*.json."""
    if not answer.resolved:
        return [False, list(answer.problems)]
    return [True, sorted([full_nevra(package), distances.get(package.name)] for package in answer.installed)]


def merge(folders: Sequence[Path], target: Path) -> Path:
    """One repository in `target` of what several folders hold."""
    repodata = target / "repodata"
    repodata.mkdir(parents=True)
    primary = repodata / "primary.xml"
    with primary.open("wb") as out:
        out.write(b'<?xml version="1.0" encoding="UTF-8"?>\n<metadata xmlns="http://linux.duke.edu/metadata/common" ')
        out.write(b'xmlns:rpm="http://linux.duke.edu/metadata/rpm">\n')
        for folder in folders:
            found = sorted([*folder.glob("primary.xml*"), *folder.glob("repodata/*primary.xml*")])
            if len(found) != 1:
                raise SystemExit(f"{folder} has {len(found)} primary.xml files; it needs one")
            content = b"".join(plain_chunks(found[0], LIMIT))
            begin, end = content.find(b"<package "), content.rfind(b"</package>")
            if begin >= 0:
                out.write(content[begin:end] + b"</package>\n")
        out.write(b"</metadata>\n")
    with primary.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    (repodata / "repomd.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<repomd xmlns="http://linux.duke.edu/metadata/repo">'
        f'<data type="primary"><checksum type="sha256">{digest}</checksum>'
        '<location href="repodata/primary.xml"/></data></repomd>\n'
    )
    return target


@contextmanager
def opened(folders: Sequence[Path]) -> Iterator[LocalRepository]:
    """Folders as one repository, taken in for as long as it is used."""
    with tempfile.TemporaryDirectory(prefix="koschei-bench-") as temporary:
        folder = folders[0]
        if len(folders) > 1 or not (folder / "repodata/repomd.xml").exists():
            folder = merge(folders, Path(temporary, "merged"))
        with RepositoryCache(Path(temporary, "cache"), 1).local(folder) as repository:
            yield repository


def resolve_all(
    repository: LocalRepository,
    group: Sequence[str],
    requests: Mapping[str, Sequence[str]],
    *,
    ignore_weak_deps: bool = True,
    engine_name: str = "solv",
) -> Iterator[tuple[str, list[Any]]]:
    """Each request and its answer in the form of expected-*.json, sorted by name."""
    resolver = engine(engine_name).open(
        repository, build_group=group, requests=requests, ignore_weak_deps=ignore_weak_deps, arch="x86_64"
    )
    for key in sorted(requests):
        yield key, as_expected(resolver.resolve(key), resolver.distances(key))
    resolver.close()


def report(answers: Iterable[tuple[str, list[Any]]], total: int) -> dict[str, list[Any]]:
    """Collect the answers, with a line of progress every few seconds."""
    results: dict[str, list[Any]] = {}
    shown = time.monotonic()
    for key, answer in answers:
        results[key] = answer
        if time.monotonic() - shown > 5:
            shown = time.monotonic()
            print(f"{len(results)} of {total}", file=sys.stderr, flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.resolve", description="Resolve a repository and say how long it took.")
    parser.add_argument("--repo", type=Path, action="append", required=True, help="folder of a repository (repeatable)")
    parser.add_argument("--sources", type=Path, required=True, help="build group and BuildRequires, JSON or JSON.zst")
    parser.add_argument("--sample", type=int, help="resolve only that many, chosen at random")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--weak", action="store_true", help="install weak dependencies")
    parser.add_argument("--engine", default="solv")
    parser.add_argument("--dump", type=Path, help="write the answers to this file")
    options = parser.parse_args()
    group, requests = read_sources(options.sources)
    if options.sample is not None and options.sample < len(requests):
        chosen = random.Random(options.seed).sample(sorted(requests), options.sample)
        requests = {key: requests[key] for key in chosen}
    began = time.monotonic()
    with opened(options.repo) as repository:
        taken_in = time.monotonic()
        answers = resolve_all(
            repository, group, requests, ignore_weak_deps=not options.weak, engine_name=options.engine
        )
        cpu = time.process_time()
        results = report(answers, len(requests))
    took, cpu = time.monotonic() - taken_in, time.process_time() - cpu
    resolved = sum(answer[0] for answer in results.values())
    print(f"taken in: {taken_in - began:.1f} s; opened and resolved: {took:.1f} s ({cpu:.1f} s CPU)")
    print(f"{len(results)} sources, {resolved} resolved, {1000 * took / max(1, len(results)):.2f} ms per source")
    print(f"peak RSS: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    if options.dump:
        options.dump.write_text(json.dumps(results, indent=0))


if __name__ == "__main__":
    main()
