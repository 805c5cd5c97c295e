"""A tiny built-in world, for trying the stand-in by hand."""

from __future__ import annotations

from .hub import Hub
from .values import Binary, SourcePackage

_SOURCES = (
    SourcePackage(
        "bash",
        "5.2.37",
        "1.fc43",
        build_requires=("gcc", "make >= 4.2"),
        binaries=(Binary("bash", requires=("glibc",), files=("/usr/bin/bash", "/usr/bin/sh")),),
    ),
    SourcePackage(
        "glibc",
        "2.42",
        "1.fc43",
        build_requires=("gcc", "make"),
        binaries=(Binary("glibc"), Binary("glibc-devel", requires=("glibc",))),
    ),
    SourcePackage(
        "gcc",
        "15.2.1",
        "1.fc43",
        build_requires=("gcc", "glibc-devel"),
        binaries=(Binary("gcc", requires=("glibc-devel",)),),
    ),
    SourcePackage("make", "4.4.1", "1.fc43", build_requires=("gcc",), binaries=(Binary("make", requires=("glibc",)),)),
    SourcePackage(
        "rnv", "1.7.11", "33.fc43", build_requires=("gcc", "make"), binaries=(Binary("rnv", requires=("glibc",)),)
    ),
)


def build_world(hub: Hub) -> None:
    """Users koschei and maintainer (passwords the same), target f43 with five packages, one builder, a repository."""
    hub.add_user("koschei", "koschei", may_choose_repo=True)
    hub.add_user("maintainer", "maintainer")
    hub.add_host("builder1", arches="i386 x86_64", capacity=8.0)
    hub.add_tag("f43")
    hub.add_tag("f43-build", arches="x86_64", parents=["f43"])
    hub.add_target("f43", build_tag="f43-build", dest_tag="f43")
    hub.set_group("f43-build", "build", ["bash", "gcc", "make"])
    for source in _SOURCES:
        hub.import_build("f43", source)
    hub.new_repo("f43-build", wait=True)
    hub.auto_repo("f43-build")
