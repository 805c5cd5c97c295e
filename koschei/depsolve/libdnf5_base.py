"""A repository as a libdnf5 base: configured for an empty system, touching nothing of the machine it runs on.

libdnf5 comes with a distribution, not from a package registry. Its modules are looked up when they are needed, so that
the rest of Koschei can do without.
"""

from __future__ import annotations

import hashlib
import importlib
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.sax.saxutils import quoteattr

from koschei.depsolve.filelists import small_filelists
from koschei.depsolve.interface import check_arch
from koschei.depsolve.repository import PRIMARY, LocalRepository
from koschei.errors import ConfigError, RepositoryBroken

# libdnf5 names the repository in every sentence about a package.
REPOSITORY_ID = "koschei:repository"
# libsolv finds the owners of a file only if some package requires it: a source package that does is put beside.
PATHS_ID = "koschei:paths"
COMMON = "http://linux.duke.edu/metadata/common"


class Libdnf5:
    """The library's modules. Raises ConfigError when they are not there."""

    def __init__(self) -> None:
        self.base = find_module("libdnf5.base")
        self.repo = find_module("libdnf5.repo")
        self.rpm = find_module("libdnf5.rpm")
        errors = find_module("libdnf5.exception")
        # Which of them it raises differs between its versions.
        self.errors: tuple[type[Exception], ...] = (
            errors.Error,
            errors.NonLibdnf5Exception,
            errors.UserAssertionError,
            RuntimeError,
        )


def find_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"dependency.engine: the engine 'libdnf5' needs the Python library libdnf5, and {sys.executable} cannot "
            f"load it ({error}). Install your distribution's package python3-libdnf5, and let this Python see the "
            "system's packages (virtual environments: --system-site-packages). The package libdnf5 on PyPI is only a "
            "placeholder. Or set dependency.engine to 'solv'"
        ) from error


def load_base(
    dnf: Libdnf5,
    repository: LocalRepository,
    *,
    paths: Collection[str],
    owners: Mapping[str, Collection[str]],
    arch: str,
    ignore_weak_deps: bool,
) -> Any:
    """A base with all packages of `repository`, which also own the files that `owners` says (by checksum).

    `paths` are all files that anybody will ask for.
    """
    check_arch(arch)
    with prepared(repository, paths, owners) as folder:
        try:
            base = new_base(dnf, folder, arch, ignore_weak_deps)
            repositories = base.get_repo_sack()
            for repository_id, name in ((REPOSITORY_ID, "repository"), (PATHS_ID, "paths")):
                config = repositories.create_repo(repository_id).get_config()
                config.baseurl = (folder / name).as_uri()
                config.skip_if_unavailable = False
                config.build_cache = False
            repositories.load_repos(dnf.repo.Repo.Type_AVAILABLE)
        except dnf.errors as error:
            raise RepositoryBroken(f"libdnf5 cannot read the metadata of {repository.name}: {error}") from error
    return base


def new_base(dnf: Libdnf5, folder: Path, arch: str, ignore_weak_deps: bool) -> Any:
    """A base without repositories; everything it looks at is in `folder`."""
    base = dnf.base.Base()
    config = base.get_config()
    config.installroot = str(folder / "root")
    config.cachedir = str(folder / "cache")
    config.plugins = False
    config.install_weak_deps = not ignore_weak_deps
    # As everywhere in Koji: the newest package is preferred, but an older one will do.
    config.best = False
    # What matters only on a system that has something installed.
    config.installonlypkgs = ()
    config.protected_packages = ()
    config.protect_running_kernel = False
    # Even where there are none: without, files that primary.xml has in unusual places would not be found.
    config.optional_metadata_types = {"filelists"}
    variables = base.get_vars().get()
    variables.set("arch", arch)
    variables.set("releasever", "0")  # else it is looked for in the database of installed packages
    base.setup()
    return base


@contextmanager
def prepared(
    repository: LocalRepository, paths: Collection[str], owners: Mapping[str, Collection[str]]
) -> Iterator[Path]:
    """A folder with two repositories that libdnf5 can read; it is needed only while a base is loaded."""
    folder = Path(tempfile.mkdtemp(prefix=".libdnf5-", dir=repository.folder))
    try:
        repodata = new_repodata(folder / "repository")
        (repodata / PRIMARY).hardlink_to(repository.primary)
        if owners:
            (repodata / "filelists.xml").write_text(small_filelists(owners), encoding="utf-8")
        describe(repodata)
        repodata = new_repodata(folder / "paths")
        (repodata / "primary.xml").write_text(asking_for(paths), encoding="utf-8")
        describe(repodata)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # it goes with the repository at the latest


def new_repodata(folder: Path) -> Path:
    repodata = folder / "repodata"
    repodata.mkdir(parents=True)
    return repodata


def describe(repodata: Path) -> None:
    """Write the repomd.xml for the metadata files in a folder."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<repomd xmlns="http://linux.duke.edu/metadata/repo">']
    for path in sorted(repodata.iterdir()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        kind = path.name.partition(".")[0]
        lines.append(f'<data type="{kind}"><checksum type="sha256">{digest}</checksum>')
        lines.append(f'<location href="repodata/{path.name}"/></data>')
    (repodata / "repomd.xml").write_text("\n".join([*lines, "</repomd>\n"]), encoding="utf-8")


def asking_for(paths: Collection[str]) -> str:
    """A primary.xml with one source package, which nothing ever installs."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<metadata xmlns="{COMMON}" xmlns:rpm="{COMMON.replace("common", "rpm")}" packages="1">',
        '<package type="rpm"><name>paths</name><arch>src</arch><version epoch="0" ver="0" rel="0"/>',
        '<location href="paths"/><format><rpm:requires>',
        *(f"<rpm:entry name={quoteattr(path)}/>" for path in sorted(paths)),
        "</rpm:requires></format></package></metadata>\n",
    ]
    return "\n".join(lines)
