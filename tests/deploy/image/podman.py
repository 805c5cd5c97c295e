"""podman and buildah with a storage of their own, and the base that images are built on in tests.

What is tested is KOSCHEI_TEST_IMAGE if that is set (`oci-archive:FILE`, or whatever else podman can pull), else an
image built here. It stands on KOSCHEI_TEST_BASE, else on one made of Debian's next release, which has libdnf5 for its
Python; that takes some minutes, once.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
PROGRAMS = ("buildah", "podman", "runc", "debootstrap", "shellcheck")
PACKAGES = (*PROGRAMS, "uidmap")
# What deploy/image/system.sh asks of a base.
BASE_PACKAGES = ("ca-certificates", "python3", "python3-libdnf5", "python3-gssapi", "rpm-common", "postgresql-client")
RELEASE = "forky"
BASE = f"localhost/koschei-test-base:{RELEASE}-{hashlib.sha256(repr(BASE_PACKAGES).encode()).hexdigest()[:12]}"
# A user such as OpenShift's restricted-v2 chooses: any number, in group 0.
ANYBODY = "1000650000:0"
# What an image is built from.
CODE = ("koschei", "backend", "frontend", "admin", "migrations", "deploy/image", "Containerfile", ".containerignore")
SOURCES = (*CODE, "Makefile", "pyproject.toml", "README.md", "LICENSE")
TMPFS = "rw,nosuid,nodev,noexec,mode=1777,size=256m"


class UnavailableError(RuntimeError):
    """Images cannot be built or run here; the message says why."""


def install() -> None:
    """See to it that the programs are there. Raises UnavailableError."""
    if os.geteuid() != 0:
        raise UnavailableError("building and running images in their own storage needs root")
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise UnavailableError(f"not installed: {', '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(["apt-get", *command], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(f"apt-get cannot install {', '.join(missing)}: {done.stderr.strip()[-300:]}")


def snapshot(folder: Path) -> Path:
    """Copy what an image is built from to `folder`: several are built of the same then, whoever edits meanwhile."""
    for name in run("git", "ls-files", "-z", "--", *SOURCES).split("\0"):
        if name and (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / name)
    return folder


def run(
    *command: str, timeout: float = 300, environment: dict[str, str] | None = None, folder: Path = REPOSITORY
) -> str:
    """What a command says on its standard output; a failure shows what it said on both."""
    env = {**os.environ, **(environment or {})}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}\nexit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


@dataclass(frozen=True)
class Store:
    """A storage of images and containers that nobody else uses."""

    root: Path
    runroot: Path

    @classmethod
    def ours(cls) -> Store:
        """The one in build/, with its sockets in a place whose name is short."""
        root = REPOSITORY / "build" / "image-test"
        key = hashlib.sha256(str(root).encode()).hexdigest()[:8]
        return cls(root, Path(tempfile.gettempdir()) / f"koschei-image-{key}")

    @property
    def options(self) -> list[str]:
        """The global options of podman and buildah."""
        return ["--root", str(self.root), "--runroot", str(self.runroot), "--storage-driver", "overlay"]

    def podman(self, *words: str, timeout: float = 300) -> str:
        """Run podman."""
        return run("podman", *self.options, *words, timeout=timeout)

    def has(self, image: str) -> bool:
        """Whether there is an image of that name."""
        command = ["podman", *self.options, "image", "exists", image]
        return subprocess.run(command, check=False).returncode == 0

    def base(self) -> str:
        """The name of the base image, made when it is not there. Raises UnavailableError."""
        if named := os.environ.get("KOSCHEI_TEST_BASE"):
            if not self.has(named):
                self.podman("pull", "--quiet", named, timeout=900)
            return named
        if not self.has(BASE):
            with tempfile.TemporaryDirectory(prefix="koschei-base-") as folder:
                self._bootstrap(Path(folder))
                with subprocess.Popen(["tar", "-C", folder, "-c", "."], stdout=subprocess.PIPE) as archive:
                    command = ["podman", *self.options, "import", "--quiet", "-", BASE]
                    subprocess.run(command, stdin=archive.stdout, capture_output=True, check=True)
        return BASE

    @staticmethod
    def _bootstrap(folder: Path) -> None:
        run("apt-get", "update", "-q")
        targets = run("apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages")
        mirrors = [line.split()[1] for line in targets.splitlines() if line.startswith("Debian ")]
        if not mirrors:
            raise UnavailableError("apt knows no mirror of Debian to make a base from: name one in KOSCHEI_TEST_BASE")
        command = ["debootstrap", "--variant=minbase", f"--include={','.join(BASE_PACKAGES)}", RELEASE, str(folder)]
        try:
            run(*command, mirrors[0], "/usr/share/debootstrap/scripts/sid", timeout=1800)
        except AssertionError as error:
            raise UnavailableError(f"debootstrap cannot make a base image: {str(error)[-500:]}") from error
        for left in ("var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(folder / left)

    def build(self, name: str, base: str, tree: Path, **variables: str) -> str:
        """Build the image from `tree` as a person does, and give what was said."""
        tools = "build/image-tools"
        run("make", f"{tools}/.ready", timeout=900)
        options = "--pull-never --layers=false"
        words = [f"IMAGE={name}", f"IMAGE_BASE={base}", f"BUILDAH=buildah {' '.join(self.options)}"]
        words.append(f"IMAGE_TOOLS={REPOSITORY / tools}")
        words += [f"BUILDAH_OPTIONS={options}", *(f"{key}={value}" for key, value in variables.items())]
        isolation = {"BUILDAH_ISOLATION": "chroot"}
        return run("make", "image", *words, timeout=900, environment=isolation, folder=tree)

    def run_options(self, *mounts: str, network: str = "host") -> list[str]:
        """podman's words for a container that may do what restricted-v2 lets it, and no more."""
        words = ["--runtime", "runc", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"]
        words += ["--pull", "never", "--log-driver", "k8s-file", "--network", network, "--user", ANYBODY]
        words += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only", "--read-only-tmpfs=false"]
        words += ["--tmpfs", f"/tmp:{TMPFS}", "--tmpfs", f"/var/cache/koschei:{TMPFS}"]
        return [*words, *(word for mount in mounts for word in ("--volume", mount))]

    def command(self, image: str, *words: str, mounts: tuple[str, ...] = (), timeout: float = 120) -> str:
        """Run a command in a container of its own; what it prints."""
        return self.podman("run", "--rm", *self.run_options(*mounts), image, *words, timeout=timeout)
