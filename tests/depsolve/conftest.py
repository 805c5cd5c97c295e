"""Fixtures around repositories of our own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from koschei.depsolve import Answer, RepositoryCache, Resolver, engine
from tests.depsolve.repositories import Handler, Rpm, Server, write_repository

# `make test-libdnf5` sets it, where that library is.
ENGINES = os.environ.get("KOSCHEI_TEST_ENGINES", "solv").split()
collect_ignore = [] if "libdnf5" in ENGINES else ["test_engine_agreement.py", "test_engine_comparison.py"]


@pytest.fixture
def repository(tmp_path: Path) -> Callable[..., Path]:
    """Writes a repository into a new folder each time."""
    numbers = iter(range(10_000))

    def make(rpms: Sequence[Rpm], **options: Any) -> Path:
        return write_repository(tmp_path / f"repository-{next(numbers)}", rpms, **options)

    return make


@pytest.fixture
def cache(tmp_path: Path) -> RepositoryCache:
    return RepositoryCache(tmp_path / "cache", 100, timeout=5, retries=2, retry_pause=0.01)


@pytest.fixture(params=ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def open_resolver(repository: Callable[..., Path], cache: RepositoryCache, engine_name: str) -> Callable[..., Resolver]:
    def make(
        rpms: Sequence[Rpm],
        requests: Mapping[str, Sequence[str]],
        group: Sequence[str] = (),
        weak: bool = False,
        arch: str = "x86_64",
        **options: Any,
    ) -> Resolver:
        with cache.local(repository(rpms, **options)) as local:
            return engine(engine_name).open(
                local, build_group=group, requests=requests, ignore_weak_deps=not weak, arch=arch
            )

    return make


@pytest.fixture
def resolve(open_resolver: Callable[..., Resolver]) -> Callable[..., Answer]:
    """The answer to one request, `pkg`, for some BuildRequires."""

    def ask(rpms: Sequence[Rpm], build_requires: Sequence[str], **options: Any) -> Answer:
        return open_resolver(rpms, {"pkg": build_requires}, **options).resolve("pkg")

    return ask


@pytest.fixture
def installs(resolve: Callable[..., Answer]) -> Callable[..., set[str]]:
    """The names that get installed; the answer must be positive."""

    def ask(rpms: Sequence[Rpm], build_requires: Sequence[str], **options: Any) -> set[str]:
        answer = resolve(rpms, build_requires, **options)
        assert answer.problems == ()
        assert answer.resolved
        return {package.name for package in answer.installed}

    return ask


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "served"
    folder.mkdir()
    state = Server("", folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, state=state)) as http:
        state.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield state
        if state.hold is not None:
            state.hold.set()
        http.shutdown()
        thread.join()
