"""BuildRequires, architecture headers and files of source packages."""

from __future__ import annotations

from xmlrpc.client import Fault

import pytest

from koschei.errors import KojiOutage
from koschei.koji.records import BuildState, SrpmFacts, TaggedBuild
from koschei.koji.srpms import requirement, source_path, srpm_facts

RPMLIB = {"name": "rpmlib(FileDigests)", "version": "4.6.0-1", "flags": 16777226, "type": 0}
BASH = ("bash", "5.2.37", "1.fc43")
MC = ("mc", "4.8.33", "2.fc43")


def requires(*rows: tuple[str, int, object]) -> list[dict[str, object]]:
    return [{"name": name, "flags": flags, "version": version, "type": 0} for name, flags, version in rows] + [RPMLIB]


@pytest.mark.parametrize(
    ("name", "flags", "version", "text"),
    [
        ("gcc", 0, "", "gcc"),
        ("bison", 2, "4", "bison < 4"),
        ("bison", 4, "4", "bison > 4"),
        ("pkgconfig(zlib)", 8, "1.3", "pkgconfig(zlib) = 1.3"),
        ("slang-devel", 12, "1:2.0.0-1", "slang-devel >= 1:2.0.0-1"),
        ("slang-devel", 10, "2", "slang-devel <= 2"),
        ("odd", 14, "2", "odd <>= 2"),
        ("/usr/bin/aspell", 0, "", "/usr/bin/aspell"),
        ("(ncurses-devel or ncurses-compat)", 0, "", "(ncurses-devel or ncurses-compat)"),
        ("perl(Carp)", 16384, "", "perl(Carp)"),
        ("perl(Carp)", 16384 + 12, "1.2", "perl(Carp) >= 1.2"),
        ("rpmlib(FileDigests)", 16777226, "4.6.0-1", None),
        ("/bin/sh", 1 << 9, "", None),
        ("half", 12, "", "half"),
        ("half", 0, "1", "half"),
    ],
)
def test_a_requirement_reads_as_in_a_spec_file(name, flags, version, text):
    assert requirement(name, flags, version) == text


def test_the_facts_of_several_packages_come_in_one_request(hub, session):
    hub.say("getRPMDeps", requires(("gcc", 0, ""), ("gcc", 0, None), ("make", 12, "4.2")), requires())
    hub.say(
        "getRPMHeaders",
        {"BUILDARCHS": [], "EXCLUDEARCH": [], "EXCLUSIVEARCH": []},
        {"BUILDARCHS": ["noarch"], "EXCLUDEARCH": ["s390x"], "EXCLUSIVEARCH": ["x86_64"]},
    )
    assert srpm_facts(session, [BASH, MC]) == {
        BASH: SrpmFacts(*BASH, build_requires=("gcc", "make >= 4.2")),
        MC: SrpmFacts(*MC, buildarchs=("noarch",), exclusivearch=("x86_64",), excludearch=("s390x",)),
    }
    calls = hub.requests[-1].params[0]
    nvra = {"name": "bash", "version": "5.2.37", "release": "1.fc43", "arch": "src"}
    assert calls[0] == {"methodName": "getRPMDeps", "params": [nvra, 0]}
    headers = {"rpmID": nvra, "headers": ["BUILDARCHS", "EXCLUDEARCH", "EXCLUSIVEARCH"], "__starstar": True}
    assert calls[1] == {"methodName": "getRPMHeaders", "params": [headers]}


HEADERS = {"BUILDARCHS": [], "EXCLUDEARCH": None}


@pytest.mark.parametrize(("deps", "headers"), [([], {}), ([], HEADERS), (requires(("gcc", 0, "")), {})])
def test_a_source_package_that_is_gone_is_none_not_one_without_requirements(hub, session, deps, headers):
    hub.say("getRPMDeps", deps)
    hub.say("getRPMHeaders", headers)
    assert srpm_facts(session, [BASH]) == {BASH: None}


@pytest.mark.parametrize(
    "bad",
    [
        Fault(1000, "No such rpm"),
        Fault(1, "Traceback"),
        "text",
        None,
        {"name": "gcc"},
        [1],
        [{"name": 3, "flags": 0, "version": ""}],
        [{"name": "gcc", "flags": "x", "version": ""}],
        [{"name": "gcc", "flags": 0, "version": 4}],
        [{"name": "", "flags": 0, "version": ""}],
    ],
)
def test_one_odd_answer_leaves_out_one_package_only(hub, session, bad):
    hub.say("getRPMDeps", bad, requires(("gcc", 0, "")))
    hub.say("getRPMHeaders", HEADERS)
    assert srpm_facts(session, [BASH, MC]) == {MC: SrpmFacts(*MC, build_requires=("gcc",))}


@pytest.mark.parametrize("bad", [[], "x", {"BUILDARCHS": "noarch"}, {"EXCLUDEARCH": [1]}])
def test_odd_headers_leave_a_package_out(hub, session, bad):
    hub.say("getRPMDeps", requires(("gcc", 0, "")))
    hub.say("getRPMHeaders", bad)
    assert srpm_facts(session, [BASH]) == {}


def build(**changes: object) -> TaggedBuild:
    fields = {"build_id": 3, "name": "mc", "epoch": 1, "version": "4.8.33", "release": "2.fc43", "task_id": None}
    return TaggedBuild(**{**fields, "tag": "f43", "completed": None, "state": BuildState.COMPLETE, **changes})


def rpm(**changes: object) -> dict[str, object]:
    return {"id": 5, "name": "mc", "version": "4.8.33", "release": "2.fc43", "arch": "src", **changes}


@pytest.mark.parametrize(
    ("volume", "root", "path"),
    [
        ("DEFAULT", "..", "../packages/mc/4.8.33/2.fc43/src/mc-4.8.33-2.fc43.src.rpm"),
        ("vol1", "..", "../vol/vol1/packages/mc/4.8.33/2.fc43/src/mc-4.8.33-2.fc43.src.rpm"),
        ("DEFAULT", "/mnt/koji", "/mnt/koji/packages/mc/4.8.33/2.fc43/src/mc-4.8.33-2.fc43.src.rpm"),
    ],
)
def test_a_source_is_where_koji_keeps_it(hub, connect, volume, root, path):
    session = connect(srpm_relative_path_root=root)
    hub.say("listRPMs", [rpm(id=6, arch="x86_64"), rpm()])
    assert source_path(session, session.config, build(volume=volume)) == path
    assert hub.requests[-1].params == ({"buildID": 3, "arches": "src", "__starstar": True},)


def test_a_build_without_a_source_package_has_no_path(hub, session):
    hub.say("listRPMs", [])
    assert source_path(session, session.config, build()) is None


@pytest.mark.parametrize("bad", [{"version": "../../etc"}, {"name": ".."}, {"release": ""}, {"id": None}])
def test_a_path_that_leads_elsewhere_is_refused(hub, session, bad):
    hub.say("listRPMs", [rpm(**bad)])
    with pytest.raises(KojiOutage, match="listRPMs"):
        source_path(session, session.config, build())
