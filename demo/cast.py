"""Who plays which part in the demo's story, and how it must end."""

from __future__ import annotations

from dataclasses import dataclass, field

from demo.distribution import Distribution
from koschei.rules.states import PackageState as S

LIBRARY, LIBRARY_VERSION = "libgit2", "1.9.0"

ALWAYS_FAILS = {
    "perl-Test-Taint": (
        None,
        "t/taint.t ........ Failed 3/12 subtests\n"
        "Result: FAIL\nFailed 1/9 test programs. 3/87 subtests failed.\n"
        "error: Bad exit status from /var/tmp/rpm-tmp.kQ3xYh (%check)\n",
    ),
    "strace": (
        "aarch64",
        "FAIL: strace-k.test\n# FAIL:  1\nmake[5]: *** [Makefile:9417: test-suite.log] Error 1\n"
        "error: Bad exit status from /var/tmp/rpm-tmp.7vTcUb (%check)\n",
    ),
}
"""Packages that cannot be built any more, as trying shows: on which architecture (any), and their log."""

GIT_ERROR = (
    "src/repository.c: In function 'open_repository':\n"
    "src/repository.c:118:5: error: too few arguments to function 'git_repository_init_ext'\n"
    "  118 |     git_repository_init_ext(&repo, path);\n"
    "      |     ^~~~~~~~~~~~~~~~~~~~~~~\n"
    "make: *** [Makefile:231: src/repository.o] Error 1\n"
    "error: Bad exit status from /var/tmp/rpm-tmp.Xr3kQp (%build)\n"
)
BROKEN_BY_LIBRARY = ("python-pygit2", "gitg", "fritzing", "geany-plugins", "git-evtag", "R-git2r")
FIXED_AFTER_LIBRARY = {"python-pygit2": "1.18.0", "gitg": None, "fritzing": "1.0.6"}
"""Those that their maintainers fix, with a new version or (None) a patch."""

REMOVED, REPLACEMENT, REPLACEMENT_VERSION = "python-nose", "python-pynose", "1.5.3"
NEED_REMOVED = (
    "python-geopy",
    "python-texttable",
    "python-editdistance",
    "python-gabbi",
    "python-jsmin",
    "python-ldappool",
)
STAY_UNRESOLVED = ("python-jsmin", "python-ldappool")
"""Those that need what the replacement does not provide."""
DROPS_REMOVED = "python-gabbi"

SPOILED, CANCELED, SLOW, OWN_BUILD, OWN_VERSION = "perl-Net-SSLeay", "ocaml-lwt", "texlive-base", "nginx", "1.29.3"
BASE, BASE_NEEDS = "redhat-rpm-config", "python3-rpm-generators >= 14"


@dataclass(frozen=True)
class Expected:
    """What the database must hold after the story: states by package, and how some of them came about."""

    states: dict[str, S]
    paths: dict[str, tuple[S, ...]]
    collection_path: tuple[str, ...] = ("unknown", "ok", "unresolved", "ok")
    not_counted: dict[str, str] = field(default_factory=lambda: {SPOILED: "spoiled", CANCELED: "canceled"})

    @property
    def broken(self) -> list[str]:
        """The packages that stay failing or unresolved."""
        return sorted(name for name, state in self.states.items() if state in (S.FAILING, S.UNRESOLVED))


def expected(distribution: Distribution) -> Expected:
    """How the story ends, whatever the timing and whoever was killed meanwhile.

    `paths`: the states of a package since Koschei was told to look after it.
    """
    states = {source.name: S.OK for source in distribution.sources} | {REPLACEMENT: S.OK}
    paths: dict[str, tuple[S, ...]] = {}
    for name in ALWAYS_FAILS:
        paths[name] = (S.OK, S.FAILING)
    for name in BROKEN_BY_LIBRARY:
        paths[name] = (S.OK, S.FAILING, S.OK) if name in FIXED_AFTER_LIBRARY else (S.OK, S.FAILING)
    for name in NEED_REMOVED:
        paths[name] = (S.OK, S.UNRESOLVED) if name in STAY_UNRESOLVED else (S.OK, S.UNRESOLVED, S.OK)
    for name in (SPOILED, CANCELED, SLOW, OWN_BUILD, REPLACEMENT):
        paths[name] = (S.OK,)
    states |= {name: path[-1] for name, path in paths.items()}
    states |= dict.fromkeys(distribution.untracked, S.UNTRACKED)
    states |= dict.fromkeys((*distribution.blocked, REMOVED), S.BLOCKED)
    return Expected(states, paths)
