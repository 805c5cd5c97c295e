"""The house rules that a tool can check: style, types, floors, sizes, and what must not be in a file."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
LONGEST_MODULE = 500
# Hosts from which packages are fetched. Which one is used is the installing machine's business, not ours to record.
REGISTRY = re.compile(
    "|".join(
        (
            r"(?:[a-z0-9-]+\.)?pypi\.org",
            r"pythonhosted\.org",
            r"registry\.npmjs\.org",
            r"registry\.yarnpkg\.com",
            r"(?:deb|security|archive|ports)\.(?:debian|ubuntu)\.(?:org|com)",
            r"index-url",
            r"--trusted-host",
        )
    )
)
PYTHON_FOLDERS = ("koschei", "backend", "frontend", "admin", "demo", "bench", "migrations", "tests")


def tracked() -> list[Path]:
    """The files that are, or are about to be, in the repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive, or a checkout that belongs to somebody else
        listed = [str(path.relative_to(REPOSITORY)) for path in REPOSITORY.rglob("*") if ".venv" not in path.parts]
    paths = sorted(REPOSITORY / name for name in listed if name)
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def modules() -> list[Path]:
    """Our Python modules."""
    return [
        path for path in tracked() if path.suffix == ".py" and path.relative_to(REPOSITORY).parts[0] in PYTHON_FOLDERS
    ]


def run(*command: str) -> None:
    """Run a Python tool over the repository; what it says is the failure's message."""
    reply = subprocess.run(
        [sys.executable, *command],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if reply.returncode:
        pytest.fail(f"{' '.join(command)}\n{reply.stdout}", pytrace=False)


def test_ruff_finds_nothing() -> None:
    run("-m", "ruff", "check", "--quiet", ".")


def test_the_layout_is_ruffs() -> None:
    run("-m", "ruff", "format", "--check", ".")


def test_types_are_right() -> None:
    run("-m", "mypy")


def test_imports_never_go_up() -> None:
    run("-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())")


def test_questions_ask_no_operation() -> None:
    below = ("config", "db", "errors", "model", "queries", "rules")
    faults = [
        f"{path.name}: {found}"
        for path in sorted((REPOSITORY / "koschei/queries").glob("*.py"))
        for found in re.findall(r"^from koschei(?: import |\.)(\w+)", path.read_text(), re.MULTILINE)
        if found not in below
    ]
    assert faults == []


def test_modules_are_short() -> None:
    lengths = {str(path.relative_to(REPOSITORY)): len(path.read_text().splitlines()) for path in modules()}
    assert {name: length for name, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_modules_say_their_job() -> None:
    silent = [
        str(path.relative_to(REPOSITORY)) for path in modules() if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_documents_that_modules_name_are_here() -> None:
    there = {path.name for path in tracked() if path.suffix == ".md"}
    found = [
        f"{path.relative_to(REPOSITORY)}: {match[0]}"
        for path in modules()
        for match in re.finditer(r"\b[\w-]+\.md\b", path.read_text())
        if match[0] not in there
    ]
    assert found == []


def test_files_name_no_package_registry() -> None:
    found = []
    for path in tracked():
        if path == Path(__file__):
            continue
        text = path.read_bytes().decode(errors="replace")
        found += [f"{path.relative_to(REPOSITORY)}: {match[0]}" for match in REGISTRY.finditer(text)]
    assert found == []


def test_the_lock_file_holds_names_and_hashes_only() -> None:
    lines = (REPOSITORY / "requirements.lock").read_text().splitlines()
    pinned = re.compile(r"[a-z0-9._-]+==[0-9a-z.!+]+( ; [^:]+)?( \\)?")
    hashed = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    assert [line for line in lines if not pinned.fullmatch(line) and not hashed.fullmatch(line)] == []
    assert len(lines) > 100


def test_the_checks_can_fail() -> None:
    """What they look for is found when it is there."""
    assert REGISTRY.search("--index-url https://files." + "pythonhosted.org/simple")
    assert not REGISTRY.search("a repository at https://packages.fedoraproject.org/")
    with pytest.raises(pytest.fail.Exception, match="seen"):
        run("-c", "print('seen'); raise SystemExit(1)")
