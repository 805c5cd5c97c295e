"""An older version's tests tell whether it lives with this version's pre-deploy half."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from koschei.db import schema
from tests.upgrade.releases import PARTS, Release, add_revision

WHOLE = (*PARTS, "demo", "tests", "pyproject.toml", "requirements.lock")
SOME = ("-q", "tests/test_notices.py", "tests/upgrade/test_seen.py")
# Put into the old version: its programs are its own, wherever they are started.
SEEN = """
import subprocess, sys
from pathlib import Path

def test_programs_are_of_this_version(database_url):
    script = Path(sys.executable).parent / "koschei-admin"
    env = {{"KOSCHEI__DB_URL": database_url, "KOSCHEI_CONFIG": ""}}
    said = subprocess.run([script, "db-check"], env=env, cwd="/", capture_output=True, text=True)
    assert "newer than this code ({head}), and admit it" in said.stdout, said
"""


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A tree whose history has a first version."""
    release = Release.copy(tmp_path_factory.mktemp("new"), "7.1", WHOLE)
    (release.folder / "tests/upgrade/test_seen.py").write_text(SEEN.format(head=schema.head()))
    git = ("git", "-c", "user.name=somebody", "-c", "user.email=somebody@localhost", "-c", "init.defaultBranch=main")
    for command in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "The first version"), ("tag", "v7.0")):
        subprocess.run([*git, *command], cwd=release.folder, check=True)
    return release


def old_tests(new: Release, ref: str = "v7.0") -> subprocess.CompletedProcess[str]:
    """Run the old version's tests as `make test-upgrade` does."""
    return subprocess.run(
        [sys.executable, "-m", "tests.upgrade.old_tests", ref, *SOME],
        cwd=new.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )


def change(new: Release, statement: str) -> Path:
    """Add a pre-deploy revision to the tree."""
    return add_revision(new.migrations, "8002", schema.head(), "pre", f'op.execute("{statement}")')


def test_old_code_lives_with_what_is_added(new: Release) -> None:
    change(new, "ALTER TABLE admin_notice ADD COLUMN author text")
    reply = old_tests(new)
    assert reply.returncode == 0, reply.stdout
    assert f"The tests of v7.0 on revision {schema.head()} and 8002 of this version" in reply.stdout
    assert " passed" in reply.stdout
    assert "deselected" not in reply.stdout


def test_old_code_does_not_live_with_what_it_uses_being_taken_away(new: Release) -> None:
    change(new, "ALTER TABLE admin_notice DROP COLUMN content")
    reply = old_tests(new)
    assert reply.returncode == 1, reply.stdout
    assert "column admin_notice.content does not exist" in reply.stdout or 'column "content"' in reply.stdout


def test_what_cannot_be_tried_is_said(new: Release) -> None:
    path = change(new, "ALTER TABLE admin_notice ADD COLUMN author text")
    assert "git has no tree of 'v6.0'" in old_tests(new, "v6.0").stdout
    path.write_text(path.read_text().replace('phase = "pre"', 'phase = "post"'))
    add_revision(new.migrations, "8003", "8002", "pre", 'op.execute("SELECT 1")')
    between = old_tests(new)
    assert between.returncode == 1
    assert "A post-deploy half of a version between lies on the way" in between.stdout
    for revision in new.migrations.glob("versions/800[23]_*.py"):
        revision.unlink()
    nothing = old_tests(new)
    assert nothing.returncode == 0
    assert "there is nothing to try" in nothing.stdout
