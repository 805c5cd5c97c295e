"""Runs an older version's tests on databases to which this version's pre-deploy half was applied.

    python -m tests.upgrade.old_tests REF [pytest's arguments]

Old processes run on such a database while a new version is rolled out. Run are those old tests that use a migrated
database, but for those marked exact_schema; tests/conftest.py of the old version sees to both. The old version has an
environment of its own: made by its `make setup` when its requirements.lock is another one, else of our packages.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import venv
from collections.abc import Sequence
from pathlib import Path

from alembic.script import ScriptDirectory

from koschei.db import schema
from koschei.db.revisions import SchemaState, judge, pre_half

REPOSITORY = Path(__file__).resolve().parents[2]
HOOK = "KOSCHEI_TEST_LATER_MIGRATIONS"
PARALLEL = ("-n", "2", "--dist", "loadfile")


class CannotRunError(Exception):
    """There is nothing to run, or no way to; the message says why."""


def check_out(ref: str, folder: Path) -> None:
    """Put the tree of a commit, tag or branch into `folder`."""
    reply = subprocess.run(["git", "archive", "--format=tar", ref], cwd=REPOSITORY, capture_output=True, check=False)
    if reply.returncode:
        raise CannotRunError(f"git has no tree of {ref!r}: {reply.stderr.decode().strip()}")
    subprocess.run(["tar", "-x"], cwd=folder, input=reply.stdout, check=True)


def what_changed(old: Path) -> SchemaState:
    """How a database of the old version looks to this one. Errors: CannotRunError when no pre half leads to us."""
    newest = ScriptDirectory(str(old / "migrations")).get_current_head()
    found = judge(schema.chain(), newest, ())
    if not (found.usable or found.migratable):
        raise CannotRunError(f"This version does not descend from that one: its newest revision is {newest}")
    if not found.usable and schema.oldest_usable() not in [one.name for one in pre_half(found.pending)]:
        raise CannotRunError("A post-deploy half of a version between lies on the way: compare with that version")
    return found


def python_for(old: Path) -> Path:
    """The interpreter for the old tests, in an environment of their own: its programs must be the old ones."""
    if (old / "requirements.lock").read_bytes() == (REPOSITORY / "requirements.lock").read_bytes():
        return with_our_packages(old)
    print("The old version needs other packages: making an environment for it", flush=True)
    subprocess.run(["make", "setup"], cwd=old, check=True)
    return old / ".venv/bin/python"


def with_our_packages(old: Path) -> Path:
    """An environment that has the old tree and its programs, and borrows the packages of ours."""
    venv.create(old / ".venv", symlinks=True)
    bin_folder = old / ".venv/bin"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    paths = sysconfig.get_paths()
    # Our tree is not in the folders of our packages, only named there by a file that is not read from elsewhere.
    borrowed = dict.fromkeys((str(old), paths["purelib"], paths["platlib"]))
    (old / ".venv/lib" / version / "site-packages/old.pth").write_text("\n".join(borrowed) + "\n")
    programs = tomllib.loads((old / "pyproject.toml").read_text())["project"]["scripts"]
    for name, target in programs.items():
        module, function = target.split(":")
        script = bin_folder / name
        script.write_text(f"#!{bin_folder}/python\nfrom {module} import {function}\n{function}()\n")
        script.chmod(0o755)
    return bin_folder / "python"


def run(ref: str, arguments: Sequence[str]) -> int:
    """Run the tests; pytest's exit status."""
    with tempfile.TemporaryDirectory(prefix="koschei-old-") as name:
        old = Path(name)
        check_out(ref, old)
        found = what_changed(old)
        half = [one.name for one in pre_half(found.pending)]
        if not half:
            print(f"{ref} has all pre-deploy revisions of this version ({found.newest}): there is nothing to try")
            return 0
        if HOOK not in (old / "tests/conftest.py").read_text():
            raise CannotRunError(f"The tests of {ref} cannot be given a migrated database: it is older than this check")
        print(f"The tests of {ref} on revision {found.found} and {', '.join(half)} of this version", flush=True)
        later = shlex.join([sys.executable, "-E", str(REPOSITORY / "tests/upgrade/later.py")])
        command = [str(python_for(old)), "-m", "pytest", "-p", "no:cacheprovider", *(arguments or PARALLEL)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {HOOK: later}
        return subprocess.run(command, cwd=old, env=environment, check=False).returncode


def main() -> None:
    """The command line."""
    if len(sys.argv) < 2:
        sys.exit("Which version's tests? Name a tag, branch or commit: make test-upgrade FROM=v3.0.0")
    try:
        sys.exit(run(sys.argv[1], sys.argv[2:]))
    except CannotRunError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
