"""The environment of these tests: everyday versions, and some more, each with its hashes."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PINNED = re.compile(r"([a-z0-9._-]+)==([0-9a-z.!+]+)( ; [^:]+)?( \\)?")
HASHED = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def pins(lock: Path) -> dict[str, set[str]]:
    """The versions of each package in a lock file: several where they depend on Python's."""
    found: dict[str, set[str]] = {}
    for line in lock.read_text().splitlines():
        if match := PINNED.fullmatch(line):
            found.setdefault(match[1], set()).add(match[2])
        else:
            assert HASHED.fullmatch(line), line
    return found


def test_what_both_lock_files_name_is_the_same_in_both() -> None:
    everyday, ours = pins(REPOSITORY / "requirements.lock"), pins(Path(__file__).with_name("requirements.lock"))
    both = everyday.keys() & ours.keys()
    assert len(both) > 10
    assert {name: (everyday[name], ours[name]) for name in both if everyday[name] != ours[name]} == {}


def test_what_is_asked_for_is_locked_and_installed() -> None:
    lines = Path(__file__).with_name("requirements.in").read_text().splitlines()
    asked = [re.split(r"[<>=~! ]", line)[0] for line in lines if line and not line.startswith("#")]
    ours = pins(Path(__file__).with_name("requirements.lock"))
    assert {name: version(name) for name in asked if version(name) not in ours[name]} == {}
