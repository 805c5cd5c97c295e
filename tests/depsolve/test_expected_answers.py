"""Real and large repositories, and what today's Koschei's algorithm (hawkey) and libsolv answer in them.

None of these requests has a rich BuildRequires, the one thing in which we differ from today's Koschei on purpose (see
test_an_unsatisfiable_rich_requirement_is_a_problem): every answer must be equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.resolve import opened, read_json, read_sources, resolve_all
from koschei.depsolve import LocalRepository

DATA = Path(__file__).resolve().parents[3] / "shared/data"
DEBIAN = DATA / "debian-bookworm"
CENTOS = DATA / "centos-stream-9"

pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the metadata to compare with is not in {DATA}"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def debian() -> Iterator[LocalRepository]:
    with opened([DEBIAN / "base"]) as repository:
        yield repository


@pytest.mark.parametrize(("weak", "count"), [("ignored", 300), ("installed", 100)])
def test_debian_is_resolved_as_today(debian: LocalRepository, engine_name: str, weak: str, count: int) -> None:
    expected: dict[str, Any] = read_json(DEBIAN / f"expected-weak-{weak}.json.zst")
    group, sources = read_sources(DEBIAN / "sources.json.zst")
    requests = {key: sources[key] for key in expected}
    assert not any(text.startswith("(") for request in requests.values() for text in request)
    options: dict[str, Any] = {"ignore_weak_deps": weak == "ignored", "engine_name": engine_name}
    answers = dict(resolve_all(debian, group, requests, **options))
    assert len(answers) == count
    wrong = [key for key in expected if answers[key] != [True, sorted(expected[key][1])]]
    assert wrong == []


def test_centos_is_resolved_as_today(engine_name: str) -> None:
    expected = read_json(CENTOS / "requests.json.zst")["expected"]
    group, requests = read_sources(CENTOS / "requests.json.zst")
    with opened([CENTOS / "appstream", CENTOS / "baseos"]) as repository:
        answers = dict(resolve_all(repository, group, requests, engine_name=engine_name))
    assert len(answers) == 200
    wrong = [key for key, answer in answers.items() if [nevra for nevra, _ in answer[1]] != sorted(expected[int(key)])]
    assert wrong == []
