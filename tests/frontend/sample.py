"""A believable distribution for looking at pages, in the browser tests and by people."""

from __future__ import annotations

import random

from koschei import groups
from koschei.audit import Actor
from koschei.model import Cause, Collection, Environment, MaintainerSource, PackageMaintainer
from koschei.rules.states import BuildState, PackageState
from tests.frontend.sample_statistics import fill_statistics
from tests.world import ChangeSpec, World, ago

COMPLETE, FAILED, RUNNING = BuildState.COMPLETE, BuildState.FAILED, BuildState.RUNNING
OK, FAILING, UNRESOLVED = PackageState.OK, PackageState.FAILING, PackageState.UNRESOLVED

NAMES = """
abseil-cpp acl alsa-lib annobin ansible-core apache-commons-io apr argon2 aspell at-spi2-core attr audit autoconf
avahi babl bash bind binutils bison blas boost brotli bubblewrap busybox bzip2 c-ares ca-certificates cairo chrony clang
cmake colord coreutils cpio cracklib cups curl cyrus-sasl dbus dejavu-fonts diffutils dnf5 dovecot doxygen e2fsprogs
ed elfutils emacs exiv2 expat fftw file findutils flac flex fontconfig freetype fribidi gawk gcc gdb gdk-pixbuf2 gettext
gimp git glib2 glibc gmp gnupg2 gnutls golang gpgme grep groff gstreamer1 gtk3 gtk4 gzip harfbuzz hdf5 highlight htop
httpd hwloc icu ImageMagick iproute jansson java-25-openjdk jq json-c kbd keyutils kmod krb5 lapack lcms2 less libaio
libarchive libcap libevent libffi libgit2 libjpeg-turbo libpng libreoffice libseccomp libsolv libssh libtiff libuv
libvirt libxml2 llvm lua lz4 make man-db mariadb maven meson mpfr nano ncurses nettle nghttp2 ninja-build nodejs22
numpy octave openblas openldap openssh openssl pango patch pcre2 perl perl-Moose php pixman poppler postgresql17
python-cryptography python-requests python3.14 qemu qt6-qtbase R redis rpm rsync ruby rust rust-serde samba scipy sed
sqlite strace sudo systemd tar tcl texinfo tmux unbound util-linux valgrind vim wayland wget2 wireshark xz zlib-ng zsh
""".split()

TOOLCHAIN: list[ChangeSpec] = [
    ("gcc", "15.1.1-5.fc44", "15.2.0-1.fc44", 1),
    ("gcc-c++", "15.1.1-5.fc44", "15.2.0-1.fc44", 1),
    ("annobin-plugin-gcc", "12.98-1.fc44", "12.99-1.fc44", None),
    ("libstdc++-devel", "15.1.1-5.fc44", "15.2.0-1.fc44", 2),
    ("cpp", "15.1.1-5.fc44", "15.2.0-1.fc44", 2),
    ("glibc-devel", "2.42-3.fc44", "2.42-4.fc44", 2),
    ("kernel-headers", "6.17.0-1.fc44", "6.18.0-0.rc1.fc44", 3),
    ("libxcrypt-devel", "4.4.38-8.fc44", None, None),
    ("openssl-libs", "1:3.5.1-2.fc44", "1:3.5.4-1.fc44", 4),
    ("python3-libs", "3.14.0-2.fc44", "3.14.1-1.fc44", 4),
    ("fedora-gpg-keys", "44-0.2", "44-0.3", None),
    ("libtree-sitter", None, "0.25.9-1.fc44", 4),
    ("elfutils-libelf", "0.194-1.fc44", "0.193-3.fc44", 3),
]
PYTHON: list[ChangeSpec] = [
    ("python3-setuptools", "80.9.0-1.fc44", "81.0.0-1.fc44", 1),
    ("python3-packaging", "25.0-5.fc44", "26.0-1.fc44", 2),
]
PROBLEMS = (
    "nothing provides libavif.so.16()(64bit) needed by imlib2-1.12.3-4.fc44.x86_64 from build",
    "package gdk-pixbuf2-modules-extra-2.44.1-1.fc44.x86_64 from build requires libavif.so.16()(64bit), "
    "but none of the providers can be installed",
    "conflicting requests",
)
GOOD = {"x86_64": 2, "aarch64": 2, "s390x": 2}
BAD = {"x86_64": 5, "aarch64": 3, "s390x": 3}


def fill(world: World, *, pretty: bool = False) -> None:
    """Three releases, one of them with a broken base buildroot."""
    rawhide = world.collection(
        "f44", "Fedora Rawhide", order=150, bugzilla_product="Fedora", bugzilla_version="rawhide"
    )
    stable = world.collection("f43", "Fedora 43", order=143, repo_id=6_699_412)
    eln = world.collection("eln", "Fedora ELN", order=120, resolved=False, repo_id=6_700_031)
    world.collection_group("fedora", "Fedora", rawhide, stable)
    world.problems(
        eln,
        "nothing provides system-release >= 11 needed by setup-2.15.0-26.eln.noarch from build",
        "nothing provides redhat-rpm-config needed by the requested (locked) group “build”",
    )
    world.repository(rawhide, 6_700_000, 0.5, 14, resolved=168, unresolved=4, changed=11)
    world.repository(rawhide, 6_699_950, 1.4, 12.4, resolved=170, unresolved=2, changed=3)
    world.repository(rawhide, 6_699_901, 2.6, 13.1, resolved=171, unresolved=1, changed=0)
    world.repository(stable, 6_699_412, 9, 9.5, resolved=170, unresolved=2, changed=1)
    world.repository(eln, 6_700_031, 3, None, base_resolved=False)
    world.notice("Koji will be moved to new hardware on Saturday from 08:00 to 12:00 UTC. No builds run meanwhile.")
    for name, interval in (("build-resolver", 30), ("polling", 1200), ("repo-resolver", 30), ("scheduler", 10)):
        busy = {"running": 12, "max_builds": 20, "obstacles": ["lua: Koji's load for s390x is 87%, above 50%"]}
        world.service(name, 0.005, interval=interval, detail=busy if name == "scheduler" else None)
    if pretty:
        world.service("watcher", interval=5)
    else:
        world.service("watcher", 2.5, interval=5, error="The message bus refused the connection", error_since=ago(2.6))
    chance = random.Random(20260514)
    for collection in (rawhide, stable, eln):
        for name in NAMES:
            one(world, collection, name, chance)
    spoiled(world, rawhide)
    if not pretty:
        hostile(world, rawhide)
    group_some(world)
    maintained(world)
    fill_statistics(world, [rawhide, stable, eln], NAMES)


def maintained(world: World) -> None:
    """What the distribution's list says of some people."""
    world.session.add(MaintainerSource(id=1, url="https://distgit.example/alias.json", last_good=ago(0.2)))
    theirs = {"jane": NAMES[::6], "ines": NAMES[::11], "toshio": [*NAMES[::4], "not-here"], "kofi": ["gcc"]}
    for user, names in theirs.items():
        world.session.add_all(PackageMaintainer(user_name=user, package=name) for name in names)


def group_some(world: World) -> None:
    """Global groups of every size, and one of a user."""
    somebody = Actor(Environment.ADMIN, "operator")
    toolchain = ["annobin", "binutils", "elfutils", "gcc", "gdb", "glibc", "llvm", "make", "valgrind"]
    groups.create(world.session, somebody, "critical-path", NAMES, ["jane", "ines", "toshio", "kofi", "release-team"])
    groups.create(world.session, somebody, "toolchain", toolchain, ["jane"])
    groups.create(world.session, somebody, "python-sig", [name for name in NAMES if name.startswith("python")])
    groups.create(world.session, somebody, "to-be-filled")
    groups.create(world.session, somebody, "jane/compression", ["brotli", "bzip2", "gzip", "lz4", "xz"], ["jane"])


def one(world: World, collection: Collection, name: str, chance: random.Random) -> None:
    """A package with some history."""
    draw = chance.random()
    evr = f"{chance.randint(1, 9)}.{chance.randint(0, 20)}.{chance.randint(0, 9)}-{chance.randint(1, 6)}.fc44"
    if draw < 0.02:
        world.package(name, collection, tracked=False, resolved=None)
        return
    if draw < 0.03:
        world.package(name, collection, blocked=True, resolved=None)
        return
    package = world.package(
        name,
        collection,
        dependency_priority=chance.choice((0, 0, 0, 64, 128, 312)),
        build_priority=200 if draw > 0.97 else 0,
    )
    start = chance.uniform(300, 900)
    world.build(package, COMPLETE, start, evr, real=True, tasks=GOOD, minutes=chance.uniform(5, 90))
    last = chance.uniform(8, 160)
    changes = chance.sample(TOOLCHAIN, chance.randint(1, 6))
    by = {"by": "scheduler", "source": f"{name}-{evr}.src.rpm", "target": collection.target}
    submission = {**by, "priority": {"manual": 0, "static": 0, "dependency": 256.0, "build": 0, "time": 38.4}}
    world.build(package, COMPLETE, last + 130, evr, tasks=GOOD, minutes=chance.uniform(5, 90), submission=submission)
    if draw < 0.08:
        bad = world.build(
            package, FAILED, last, evr, tasks=BAD, changes=TOOLCHAIN if draw < 0.06 else PYTHON, submission=submission
        )
        world.moved(package, OK, FAILING, last - 0.4, build=bad)
        if draw < 0.05:
            world.build(package, FAILED, last / 2, evr, tasks=BAD, submission=submission, deps_resolved=None)
    elif draw < 0.1:
        world.build(package, COMPLETE, last, evr, tasks=GOOD, changes=changes, submission=submission)
        world.resolution(package, last + 100)
        world.resolution(package, last / 2, *PROBLEMS[: 1 + int(draw * 100) % 3])
        package.resolved = False
        world.moved(package, OK, UNRESOLVED, last / 2, Cause.RESOLUTION)
    else:
        good = world.build(package, COMPLETE, last, evr, tasks=GOOD, changes=changes, submission=submission)
        world.pending(package, *chance.sample(TOOLCHAIN, chance.choice((0, 0, 0, 2, 5))))
        if draw < 0.14:
            world.moved(package, FAILING, OK, last - 0.3, build=good)
        if 0.2 < draw < 0.23:
            world.build(package, RUNNING, chance.uniform(0.1, 2), evr, tasks={"x86_64": 1, "aarch64": 0}, repo_id=None)


def spoiled(world: World, collection: Collection) -> None:
    """A package whose last builds Koji spoiled."""
    package = world.package("kernel", collection, spoiled_in_a_row=2, retry_after=ago(-0.7), manual_priority=500)
    world.build(package, COMPLETE, 400, "6.17.1-300.fc44", real=True, tasks=GOOD, minutes=300)
    for weeks, state in enumerate((COMPLETE, FAILED, FAILED, COMPLETE, COMPLETE, COMPLETE), 3):
        evr = f"6.17.0-{300 - weeks}.fc44"
        world.build(
            package,
            state,
            weeks * 168,
            evr,
            real=True,
            tasks=GOOD if state is COMPLETE else BAD,
            minutes=240 + 17 * (weeks % 4),
        )
    for hours in (3, 1):
        world.build(
            package,
            BuildState.SPOILED,
            hours,
            "6.17.1-300.fc44",
            minutes=12,
            tasks={"x86_64": 5, "aarch64": 3},
            fault_code=1,
            fault_text="ServerOffline: the builder lost its connection to the hub\nTraceback (most recent call last):",
            submission={"by": "jane", "priority": {"manual": 500, "time": 41.2}},
        )
    world.build(
        package,
        BuildState.CANCELED,
        30,
        "6.17.1-300.fc44",
        fault_text="Cancelled: longer than koji_config.task_timeout",
    )


def hostile(world: World, collection: Collection) -> None:
    """A package whose every text tries to be markup, and is long."""
    package = world.package("zz-hostile", collection, resolved=False)
    long = "9" * 90
    build = world.build(
        package,
        FAILED,
        20,
        f"1<b>{long}-1",
        tasks={"<i>x86</i>": 5},
        changes=[("<script>alert(1)</script>", "1-1", "2-<u>", 1)],
    )
    world.moved(package, OK, FAILING, 19, build=build)
    world.resolution(package, 5, "<img src=x onerror=alert(1)> needs & wants\na second line")
    world.moved(package, FAILING, UNRESOLVED, 5, Cause.RESOLUTION)
