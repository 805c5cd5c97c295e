"""The sample distribution: about 250 source packages that build into about a thousand binaries, always the same ones.

The shapes are those of a real distribution: a base group and a toolchain, C libraries with -devel and pkgconfig(),
language stacks with their own provides, applications on top. Everything can be built at the start.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from demo import catalog
from demo.catalog import lines
from demo.hub import Binary, SourcePackage

DIST = "fc43"
ARCHES = ("x86_64", "aarch64")
BLOCKED = ("libdb",)
UNTRACKED = ("sample-release", "setup", "basesystem", "tzdata", "vlc-core", "redis-plus")
LIBC = "libc.so.6()(64bit)"
PERL_ABI = "perl(:MODULE_COMPAT_5.42.0)"
PYTHON_ABI = "python(abi) = 3.14"
EPOCHS = {"perl": 4, "openssl": 1, "nginx": 2, "vim": 2}
EXCLUSIVE = {"valgrind": ARCHES, "nasm": ("x86_64",), "wireshark": ARCHES}
EXCLUDED = {"mpv": ("aarch64",)}
# Where a package of the story needs more than chance gives it.
EXTRA_BUILD_REQUIRES: dict[str, tuple[str, ...]] = {
    "python-geopy": ("python3-nose",),
    "python-texttable": ("python3-nose >= 1.3",),
    "python-editdistance": ("python3-nose", "python3-numpy"),
    "python-gabbi": ("python3-nose", "python3-pyyaml"),
    "python-jsmin": ("python3dist(nose)",),
    "python-ldappool": ("python3-nose < 1.5",),
    "python-pygit2": ("pkgconfig(libgit2) >= 1.7", "python3-cffi"),
    "rust-git2": ("pkgconfig(libgit2)",),
    "libgit2-glib": ("libgit2-devel >= 1.0", "glib2-devel", "vala"),
    "gitg": ("pkgconfig(libgit2)", "gtk4-devel", "desktop-file-utils"),
    "geany-plugins": ("libgit2-devel", "gtk4-devel", "perl(Template)"),
    "git-evtag": ("pkgconfig(libgit2) >= 1.0", "git"),
    "fritzing": ("(libgit2-devel with pkgconfig(libgit2) >= 1.6)", "pkgconfig(qt6-qtbase)"),
    "R-git2r": ("libgit2-devel", "R-core-devel"),
    "R-gert": ("libgit2-devel", "R-core-devel"),
    "kup": ("pkgconfig(libgit2)", "pkgconfig(qt6-qtbase)"),
    "bat": ("libgit2-devel", "(crate(clap) >= 4.0.0 with crate(clap) < 5.0.0~)"),
    "eza": ("(pkgconfig(libgit2) or libgit2-static)", "crate(git2/default)"),
    "jq": ("pkgconfig(oniguruma)", "/usr/bin/autoreconf", "(valgrind if valgrind-tools)"),
    "ripgrep": ("(crate(regex/default) >= 1.5.0 with crate(regex/default) < 2.0.0~)", "/usr/bin/help2man"),
    "nginx": ("perl(ExtUtils::Embed)", "openssl-devel >= 1:3.0", "(gcc and make)"),
    "coq": ("ocaml-findlib", "ocaml(zarith)", "ocaml-dune"),
    "texlive-base": ("texinfo", "perl(XML::Parser)", "/usr/bin/python3"),
    "libreoffice-core": ("gcc-c++", "boost-devel", "perl(Archive::Zip)", "/usr/bin/unzip"),
    "vim": ("perl(ExtUtils::Embed)", "lua-devel", "ncurses-devel"),
}


@dataclass(frozen=True)
class Distribution:
    """The packages in an order in which each can be built with those before it; `age_hours` of their last builds."""

    sources: tuple[SourcePackage, ...]
    age_hours: dict[str, float]
    build_group: tuple[str, ...] = catalog.BUILD_GROUP
    blocked: tuple[str, ...] = BLOCKED
    untracked: tuple[str, ...] = UNTRACKED

    def __getitem__(self, name: str) -> SourcePackage:
        """The source package of that name; KeyError when there is none."""
        return self._by_name[name]

    @property
    def _by_name(self) -> dict[str, SourcePackage]:
        return {source.name: source for source in self.sources}

    @property
    def tracked(self) -> tuple[str, ...]:
        """The packages that Koschei is to look after."""
        left_out = {*self.blocked, *self.untracked}
        return tuple(source.name for source in self.sources if source.name not in left_out)


@dataclass
class Workshop:
    """Makes packages, and remembers what those made so far provide for the ones to come."""

    rng: random.Random
    sources: list[SourcePackage] = field(default_factory=list)
    libraries: list[tuple[str, str]] = field(default_factory=list)
    modules: dict[str, list[str]] = field(default_factory=dict)

    def add(
        self,
        name: str,
        version: str,
        build_requires: tuple[str, ...],
        binaries: list[Binary],
        *,
        noarch: bool = False,
    ) -> None:
        extra = EXTRA_BUILD_REQUIRES.get(name, ())
        source = SourcePackage(
            name,
            version,
            f"{self.rng.choice((1, 1, 2, 3, 5, 8))}.{DIST}",
            epoch=EPOCHS.get(name),
            build_requires=tuple(dict.fromkeys((*build_requires, *extra))),
            build_archs=("noarch",) if noarch else (),
            exclusive_arch=EXCLUSIVE.get(name, ()),
            exclude_arch=EXCLUDED.get(name, ()),
            binaries=tuple(binaries),
            summary=f"{name} {version}",
        )
        self.sources.append(source)

    def some(self, names: list[str], most: int) -> list[str]:
        """A few of the names, in their order; near ones (made last) are likelier."""
        if not names:
            return []
        count = self.rng.randint(1, most)
        chosen = {names[int(len(names) * self.rng.random() ** 0.7)] for _ in range(count)}
        return [name for name in names if name in chosen]

    def some_libraries(self, most: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """A few libraries: as BuildRequires, and as what is linked then. Not the one of the story."""
        usual = [name for name, _ in self.libraries if name not in ("libgit2", *BLOCKED)]
        sonames = dict(self.libraries)
        build, linked = [], []
        for name in self.some(usual, most):
            build.append(self.rng.choice((f"{name}-devel", f"pkgconfig({name})", f"pkgconfig({name}) >= 0.1")))
            linked.append(sonames[name])
        return tuple(build), tuple(linked)


def distribution(seed: int = 43) -> Distribution:
    """The sample distribution; the same for the same seed."""
    workshop = Workshop(random.Random(seed))
    for make in (_base, _tools, _libraries, _perl, _python, _ocaml, _rust, _applications):
        make(workshop)
    rng = random.Random(seed + 1)
    # Young enough that time alone asks for nothing, old enough that one changed dependency does.
    ages = {source.name: round(rng.uniform(7, 16), 2) for source in workshop.sources}
    return Distribution(tuple(workshop.sources), ages)


# --- the base


def _base(workshop: Workshop) -> None:
    names = {words[0] for words in lines(catalog.BASE)}
    data = {"sample-release", "filesystem", "setup", "basesystem", "tzdata", "ca-certificates", "redhat-rpm-config"}
    for words in lines(catalog.BASE):
        name, version, others = words[0], words[1], words[3:]
        noarch = name in data
        binaries = [_base_binary(each, noarch, name) for each in (name, *others) if each != "python3.14"]
        if name == "glibc":
            binaries += [Binary(f"glibc-langpack-{lang}", requires=("glibc-common",)) for lang in catalog.LANGUAGES]
        build: tuple[str, ...] = ("make",) if noarch else ("gcc", "make", "glibc-devel")
        if name in names - data and workshop.rng.random() < 0.4:
            build += (workshop.rng.choice(("ncurses-devel", "perl-interpreter", "texinfo", "pcre2-devel")),)
        workshop.add(name, version, build, binaries, noarch=noarch)


BASE_REQUIRES = {
    "glibc": ("glibc-common", "glibc-minimal-langpack", "filesystem", "basesystem", "libgcc"),
    "basesystem": ("setup", "filesystem"),
    "sample-release": ("sample-release-common",),
    "glibc-devel": ("glibc", "kernel-headers"),
    "gcc": ("cpp", "binutils", "glibc-devel >= 2.17", "libgomp", "libgcc", "libmpfr-compat", "make"),
    "gcc-c++": ("gcc", "libstdc++-devel", "libstdc++"),
    "gcc-gfortran": ("gcc", "libgfortran"),
    "ncurses": ("ncurses-libs",),
    "ncurses-libs": ("ncurses-base", LIBC),
    "bash": ("ncurses-libs", "filesystem", LIBC),
    "coreutils": ("coreutils-common", "libacl", "libselinux", "openssl-libs", "gmp"),
    "grep": ("pcre2", LIBC),
    "libselinux": ("libsepol", "pcre2"),
    "libacl": ("libattr", LIBC),
    "tar": ("libacl", "libselinux"),
    "info": ("ncurses-libs",),
    "xz": ("xz-libs",),
    "bzip2": ("bzip2-libs",),
    "zstd": ("libzstd",),
    "util-linux": ("libuuid", "libblkid", "libmount", "libfdisk", "util-linux-core"),
    "make": (LIBC,),
    "openssl": ("openssl-libs",),
    "openssl-libs": ("ca-certificates", LIBC),
    "lua": ("lua-libs",),
    "elfutils": ("elfutils-libelf", "elfutils-libs"),
    "elfutils-libelf": ("zlib-ng-compat", "libzstd"),
    "perl": ("perl-interpreter", "perl-libs", "perl-devel", "perl-macros", "perl-Test-Simple"),
    "perl-interpreter": ("perl-libs",),
    "perl-devel": ("perl-interpreter", "perl-ExtUtils-MakeMaker", "gcc"),
    "perl-ExtUtils-MakeMaker": ("perl-interpreter",),
    "perl-Test-Simple": ("perl-interpreter",),
    "python3": ("python3-libs",),
    "python3-libs": ("openssl-libs >= 1:3.0", "zlib-ng-compat", "expat-compat", LIBC),
    "python3-devel": ("python3", "gcc"),
    "rpm": ("rpm-libs", "coreutils"),
    "rpm-libs": ("popt", "lua-libs", "libzstd", "xz-libs", "bzip2-libs"),
    "rpm-build": ("rpm", "rpm-build-libs", "elfutils", "gcc", "(annobin-plugin-gcc-macros if gcc)", "/usr/bin/gzip"),
    "redhat-rpm-config": ("kernel-srpm-macros", "rpm >= 4.19", "/usr/bin/grep"),
}
BASE_PROVIDES = {
    "glibc": (LIBC, "libm.so.6()(64bit)", "rtld(GNU_HASH)", "/sbin/ldconfig"),
    "libgcc": ("libgcc_s.so.1()(64bit)", "libmpfr-compat = 4.2.2"),
    "libstdc++": ("libstdc++.so.6()(64bit)",),
    "sample-release": ("system-release = 43",),
    "zlib-ng-compat": ("zlib = 1.3.1", "libz.so.1()(64bit)"),
    "zlib-ng-compat-devel": ("zlib-devel = 1.3.1", "pkgconfig(zlib) = 1.3.1"),
    "openssl-devel": ("pkgconfig(openssl) = 3.5.4", "pkgconfig(libssl) = 3.5.4"),
    "ncurses-devel": ("pkgconfig(ncurses) = 6.5",),
    "perl-libs": (PERL_ABI, "perl(strict)", "perl(warnings)", "perl(Archive::Zip) = 1.68"),
    "perl-interpreter": ("perl(:VERSION) = 5.42.0",),
    "perl-devel": ("perl(ExtUtils::Embed)",),
    "perl-ExtUtils-MakeMaker": ("perl(ExtUtils::MakeMaker) = 7.76",),
    "perl-Test-Simple": ("perl(Test::More) = 1.302",),
    "python3-libs": (PYTHON_ABI, "libpython3.14.so.1.0()(64bit)", "expat-compat"),
    "python3": ("python3.14 = 3.14.2",),
    "python3-devel": ("pkgconfig(python3) = 3.14",),
}
BASE_FILES = {
    "bash": ("/usr/bin/bash", "/usr/bin/sh"),
    "gcc": ("/usr/bin/gcc", "/usr/bin/cc"),
    "perl-interpreter": ("/usr/bin/perl",),
    "python3": ("/usr/bin/python3",),
}


def _base_binary(name: str, noarch: bool, source: str) -> Binary:
    requires = BASE_REQUIRES.get(name, () if noarch or name in ("libgcc", "filesystem") else (LIBC,))
    if name.endswith("-devel") and name not in BASE_REQUIRES:
        requires = (name.removesuffix("-devel"),) if name in _NAMED_LIKE_THEIR_DEVEL else (LIBC,)
    small = name in ("glibc-common", "glibc-minimal-langpack", "libgcc")
    return Binary(
        name,
        arch="noarch" if noarch or name in ("kernel-srpm-macros",) else "x86_64",
        requires=("filesystem",) if small and name != "libgcc" else () if small else requires,
        provides=BASE_PROVIDES.get(name, ()),
        files=BASE_FILES.get(name, (f"/usr/bin/{name}",) if name == source else ()),
    )


_NAMED_LIKE_THEIR_DEVEL = {
    "gmp-devel",
    "pcre2-devel",
    "libselinux-devel",
    "libattr-devel",
    "libacl-devel",
    "popt-devel",
}


# --- tools and libraries

TOOL_REQUIRES = {
    "autoconf": ("m4", "perl-interpreter"),
    "automake": ("autoconf", "perl-interpreter"),
    "libtool": ("autoconf", "automake", "gcc"),
    "meson": ("ninja-build", "python3"),
    "cmake": ("make", "libstdc++"),
    "rust": ("gcc",),
    "cargo-rpm-macros": ("rust", "python3"),
    "ocaml-dune": ("ocaml",),
    "git": ("perl-interpreter", "zlib-ng-compat", "less-compat"),
    "gettext": ("libstdc++",),
}
TOOL_FILES = {"autoconf": ("/usr/bin/autoconf", "/usr/bin/autoreconf")}


def _tools(workshop: Workshop) -> None:
    for name, version in lines(catalog.TOOLS):
        main = Binary(
            name,
            requires=TOOL_REQUIRES.get(name, (LIBC,)),
            provides=("less-compat",) if name == "gettext" else ("ocaml(Stdlib) = 5.3.0",) if name == "ocaml" else (),
            files=TOOL_FILES.get(name, (f"/usr/bin/{name}",)),
        )
        binaries = [main, Binary(f"{name}-doc", arch="noarch")]
        if name in ("gettext", "ocaml", "R-core", "vala", "rust", "flex", "git"):
            binaries += [Binary(f"{name}-devel", requires=(name,)), Binary(f"{name}-libs", requires=(LIBC,))]
        workshop.add(name, version, ("gcc", "gcc-c++", "make", "perl-interpreter"), binaries)


def _libraries(workshop: Workshop) -> None:
    for name, version, soname in lines(catalog.LIBRARIES):
        devel, linked = workshop.some_libraries(3)
        system = workshop.rng.choice((("meson",), ("cmake", "gcc-c++"), ("autoconf", "automake", "libtool"), ("make",)))
        so = f"lib{name.removeprefix('lib')}.so.{soname}()(64bit)"
        split = workshop.rng.random() < 0.35 and name not in ("libgit2",)
        library = f"{name}-libs" if split else name
        needed = tuple(f"{each.split('(')[1].split(')')[0]}-devel" if "(" in each else each for each in devel)
        binaries = [
            Binary(library, requires=(LIBC, *linked), provides=(so,)),
            Binary(
                f"{name}-devel",
                requires=(library, *needed),
                provides=(f"pkgconfig({name}) = {version}",),
                files=(f"/usr/lib64/pkgconfig/{name}.pc", f"/usr/include/{name}.h"),
            ),
            Binary(f"{name}-doc", arch="noarch"),
        ]
        if split:
            binaries.append(Binary(name, requires=(library,), files=(f"/usr/bin/{name}",)))
        if workshop.rng.random() < 0.5:
            binaries.append(Binary(f"{name}-static", requires=(f"{name}-devel",)))
        if workshop.rng.random() < 0.3:
            tools = Binary(f"{name}-tools", requires=(library,), files=(f"/usr/bin/{name}-config",))
            binaries.append(tools)
        workshop.add(name, version, ("gcc", *system, *devel), binaries)
        workshop.libraries.append((name, so))


# --- language stacks


def _perl(workshop: Workshop) -> None:
    made = workshop.modules.setdefault("perl", [])
    compiled = {"perl-Net-SSLeay": "openssl-devel", "perl-JSON-XS": "", "perl-YAML-LibYAML": "libyaml-devel"}
    compiled |= {
        "perl-HTML-Parser": "",
        "perl-DBI": "",
        "perl-DBD-SQLite": "sqlite-devel",
        "perl-XML-Parser": "expat-devel",
    }
    for name, version in lines(catalog.PERL):
        module = f"perl({name.removeprefix('perl-').replace('-', '::')})"
        if name == "perl-Template-Toolkit":
            module = "perl(Template)"
        needs = tuple(workshop.some(made, 3))
        build = ("perl-interpreter", "perl(ExtUtils::MakeMaker) >= 6.76", "perl(Test::More)", "perl(strict)", *needs)
        c_needs: tuple[str, ...] = ()
        if name in compiled:
            c_needs = tuple(each for each in ("gcc", "perl-devel", compiled[name]) if each)
        arch = "x86_64" if name in compiled else "noarch"
        main = Binary(name, arch, requires=(PERL_ABI, *needs), provides=(f"{module} = {version}",))
        tests = Binary(f"{name}-tests", arch="noarch", requires=(name, "perl(Test::More)"))
        workshop.add(name, version, (*build, *c_needs), [main, tests], noarch=name not in compiled)
        made.append(module)


def _python(workshop: Workshop) -> None:
    made = workshop.modules.setdefault("python", [])
    compiled = {"markupsafe", "pyyaml", "lxml", "cffi", "cryptography", "numpy", "pillow", "psycopg2", "editdistance"}
    compiled.add("pygit2")
    links = {
        "lxml": "libxslt-devel",
        "cffi": "libffi-devel",
        "cryptography": "openssl-devel",
        "pillow": "libjpeg-turbo-devel",
    }
    links |= {"psycopg2": "libpq-devel", "pyyaml": "libyaml-devel"}
    for name, version in lines(catalog.PYTHON):
        project = name.removeprefix("python-")
        built = f"python3-{project}"
        needs = () if project == "nose" else tuple(n for n in workshop.some(made, 3) if "nose" not in n)
        build: tuple[str, ...] = ("python3-devel", *needs)
        if project not in ("flit-core", "setuptools", "packaging"):
            build += ("python3-setuptools",)
        if project in compiled:
            build += tuple(each for each in ("gcc", links.get(project, "")) if each)
        provides = (f"python3dist({project}) = {version}", f"python3.14dist({project}) = {version}")
        requires = (PYTHON_ABI, *needs)
        binaries = [
            Binary(built, "x86_64" if project in compiled else "noarch", requires=requires, provides=provides),
            Binary(f"{name}-doc", arch="noarch"),
        ]
        if workshop.rng.random() < 0.4:
            extra = f"{built}+{workshop.rng.choice(('test', 'cli', 'async', 'security'))}"
            binaries.append(Binary(extra, arch="noarch", requires=(built,)))
        workshop.add(name, version, build, binaries, noarch=project not in compiled)
        made.append(workshop.rng.choice((built, f"python3dist({project})")))


def _ocaml(workshop: Workshop) -> None:
    made = workshop.modules.setdefault("ocaml", [])
    for name, version in lines(catalog.OCAML):
        needs = tuple(workshop.some(made, 2))
        module = f"ocaml({name.removeprefix('ocaml-')})"
        unit = f"{module} = {workshop.rng.getrandbits(64):016x}"
        binaries = [
            Binary(name, requires=(LIBC, "ocaml(Stdlib)", *needs), provides=(unit,)),
            Binary(f"{name}-devel", requires=(name, "ocaml"), provides=(f"ocamlx({name.removeprefix('ocaml-')})",)),
            Binary(f"{name}-doc", arch="noarch"),
        ]
        build = ("ocaml >= 4.14", "ocaml-dune" if name != "ocaml-findlib" else "m4", *(f"ocaml{n[5:]}" for n in needs))
        workshop.add(name, version, (*build, *(("gmp-devel",) if name == "ocaml-zarith" else ())), binaries)
        made.append(module)


def _rust(workshop: Workshop) -> None:
    made: list[tuple[str, str]] = []
    for crate, version, *features in lines(catalog.RUST):
        needs = []
        for needed, full in [pair for pair in made if pair[0] in workshop.some([c for c, _ in made], 3)]:
            parts = full.split(".")
            upper = f"{int(parts[0]) + 1}.0.0~" if parts[0] != "0" else f"0.{int(parts[1]) + 1}.0~"
            needs.append(f"(crate({needed}/default) >= {full} with crate({needed}/default) < {upper})")
        devel = f"rust-{crate}-devel"
        binaries = [Binary(devel, arch="noarch", requires=("rust", *needs), provides=(f"crate({crate}) = {version}",))]
        for feature in ("default", *features):
            provides = (f"crate({crate}/{feature}) = {version}",)
            binaries.append(
                Binary(f"rust-{crate}+{feature}-devel", arch="noarch", requires=(devel,), provides=provides)
            )
        workshop.add(f"rust-{crate}", version, ("cargo-rpm-macros >= 24", *needs), binaries)
        made.append((crate, version))


# --- applications


def _applications(workshop: Workshop) -> None:
    for name, version in [*lines(catalog.APPLICATIONS), *lines(catalog.GIT_APPLICATIONS)]:
        devel, linked = workshop.some_libraries(5)
        build: tuple[str, ...] = ("gcc", "make", *devel)
        if workshop.rng.random() < 0.4:
            build += (workshop.rng.choice(("gettext", "desktop-file-utils", "doxygen", "swig", "bison")),)
        git = name in {words[0] for words in lines(catalog.GIT_APPLICATIONS)}
        needs = (LIBC, *linked, *(("libgit2",) if git else ()))
        binaries = [
            Binary(name, requires=needs, files=(f"/usr/bin/{name}",)),
            Binary(f"{name}-doc", arch="noarch"),
            Binary(f"{name}-data", arch="noarch", summary=f"Data of {name}"),
        ]
        for part in ("libs", "devel", "plugins", "lang")[: workshop.rng.randint(0, 4)]:
            binaries.append(Binary(f"{name}-{part}", requires=(name,)))
        workshop.add(name, version, build, binaries)
