"""Fills a folder with what the image is made of: the wheels, a list of them with hashes, a pip, and an SBOM.

Run by `make wheelhouse`. Third-party wheels are those whose hashes deploy/image/requirements.lock names; ours is built
from the files that git tracks. With the same commit and the same lock files the folder is the same, byte for byte.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from packaging.markers import Marker, default_environment
from packaging.utils import parse_wheel_filename

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
OLDEST_GLIBC = 17
"""manylinux 2.17 and newer, up to the base image's: wheels for older ones are named 2.17 too."""
# The parts of the tree that the image's wheel is made from: not the demo, nor the benchmarks.
PACKAGES = ("koschei", "backend", "frontend", "admin", "migrations")
SOURCES = (*PACKAGES, "pyproject.toml", "README.md", "LICENSE")


def requirements(lock: Path, python: str, machine: str) -> list[str]:
    """The lines of `lock` that hold on Linux with this Python and machine, without their conditions."""
    environment: dict[str, Any] = {
        **default_environment(),
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }
    found = []
    for line in lock.read_text().replace("\\\n", " ").splitlines():
        pin, _, hashes = line.partition(" --hash=")
        name, _, marker = pin.partition(" ; ")
        if name.strip() and not name.startswith("#") and (not marker or Marker(marker).evaluate(environment)):
            found.append(f"{name.strip()} --hash={hashes.strip()}")
    return found


def download(lines: list[str], folder: Path, python: str, machine: str, glibc: int) -> None:
    """Fetch the wheels of `lines`; pip refuses what has none of the hashes, and what has no wheel."""
    listed = folder / "wanted.txt"
    listed.write_text("\n".join(lines) + "\n")
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(glibc, OLDEST_GLIBC - 1, -1)]
    command = [*_pip("download"), "--no-deps", "--require-hashes", "--only-binary=:all:", "--dest", str(folder)]
    command += ["--implementation", "cp", "--python-version", python]
    command += [word for platform in [*platforms, f"manylinux2014_{machine}"] for word in ("--platform", platform)]
    _run([*command, "--requirement", str(listed)])
    listed.unlink()


def build(folder: Path, epoch: str) -> None:
    """Make our own wheel from what git tracks (from everything, where there is no git)."""
    with tempfile.TemporaryDirectory(prefix="koschei-wheel-") as name:
        tree = Path(name)
        for path in _tracked():
            target = tree / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / path, target)
            target.chmod(0o644)  # whatever this machine's umask is
        command = [*_pip("wheel"), "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder)]
        _run([*command, str(tree)], {"SOURCE_DATE_EPOCH": epoch, "PYTHONHASHSEED": "0"})


def listing(folder: Path) -> str:
    """A requirements file that names each wheel of `folder` with its hash."""
    lines = []
    for wheel in sorted(folder.glob("*.whl")):
        name, version, _, _ = parse_wheel_filename(wheel.name)
        lines.append(f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}")
    return "\n".join(lines) + "\n"


def sbom(folder: Path) -> None:
    """Say in CycloneDX what is in `folder`: names, versions, licences, and what needs what."""
    with tempfile.TemporaryDirectory(prefix="koschei-sbom-") as name:
        # The tool describes environments. This one has the wheels' descriptions only; nothing of them is run.
        python = Path(name) / "bin" / "python"
        _run([sys.executable, "-m", "venv", "--without-pip", name])
        (packages,) = Path(name).glob("lib/python3*/site-packages")
        for wheel in folder.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(packages, [one for one in archive.namelist() if ".dist-info/" in one])
        command = [str(Path(sys.executable).parent / "cyclonedx-py"), "environment", "--output-reproducible"]
        command += ["--pyproject", str(REPOSITORY / "pyproject.toml"), "--mc-type", "application", "--of", "JSON"]
        _run([*command, "--output-file", str(folder / "sbom.cdx.json"), str(python)])


def _tracked() -> list[Path]:
    command = ["git", "-C", str(REPOSITORY), "ls-files", "-z", "--", *SOURCES]
    reply = subprocess.run(command, capture_output=True, text=True, check=False)
    if reply.returncode == 0:
        return [Path(name) for name in reply.stdout.split("\0") if name and (REPOSITORY / name).is_file()]
    found = (path for name in SOURCES for path in [REPOSITORY / name, *(REPOSITORY / name).rglob("*")])
    return [path.relative_to(REPOSITORY) for path in found if path.is_file() and "__pycache__" not in path.parts]


def _pip(verb: str) -> list[str]:
    return [sys.executable, "-m", "pip", verb, "-qq", "--disable-pip-version-check"]


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env={**os.environ, **(environment or {})}, check=False)
    if done.returncode:
        sys.exit(f"wheelhouse: this failed with status {done.returncode}: {' '.join(command)}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Fill a folder with what the image is made of.")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "build" / "wheelhouse", help="the folder")
    parser.add_argument("--python", default="3.14", help="Python of the base image (%(default)s)")
    parser.add_argument("--machine", default=os.uname().machine, help="its processor (%(default)s)")
    parser.add_argument("--glibc", type=int, default=39, help="its glibc, the number after 2. (%(default)s)")
    parser.add_argument("--epoch", default="315532800", help="the time that files bear, seconds since 1970")
    chosen = parser.parse_args()
    if not re.fullmatch(r"3\.\d+", chosen.python):
        parser.error(f"--python: {chosen.python!r} is not like 3.14")
    fresh = chosen.output.with_name(f"{chosen.output.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    wanted = requirements(HERE / "requirements.lock", chosen.python, chosen.machine)
    download(wanted, fresh, chosen.python, chosen.machine, chosen.glibc)
    build(fresh, chosen.epoch)
    (fresh / "requirements.txt").write_text(listing(fresh))
    (fresh / "python-version").write_text(f"{chosen.python}\n")
    sbom(fresh)
    # After the list: pip installs, and is not installed.
    tools = requirements(HERE / "tools.lock", chosen.python, chosen.machine)
    (fresh / "tools").mkdir()
    download([line for line in tools if line.startswith("pip==")], fresh / "tools", chosen.python, chosen.machine, 39)
    shutil.rmtree(chosen.output, ignore_errors=True)
    fresh.rename(chosen.output)
    print(f"{chosen.output}: {len(list(chosen.output.glob('*.whl')))} wheels")


if __name__ == "__main__":
    main()
