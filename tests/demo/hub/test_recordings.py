"""Replays the recorded exchanges of a real hub against the stand-in, and compares what comes back.

The world is rebuilt so that users, tags, packages, builds, events, repositories and tasks have their recorded ids, and
every request is sent as recorded: the same XML, session headers (with our ids and keys), and call numbers. Compared are
keys, types, nullability and the text of times; the code and text of faults; and values where no clock or id is in them.
"""

from __future__ import annotations

import functools
import json
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xmlrpc.client import Binary as XmlBinary
from xmlrpc.client import Fault

import koji
import pytest

from demo.hub import Binary, Hub, HubServer, Outcome, SourcePackage, Timings
from demo.hub.rpc import REGISTRY

RECORDINGS = Path(__file__).resolve().parents[4] / "shared" / "recordings"
Exchange = dict[str, Any]

# Not comparable, and why. Keys: file stem, or (file stem, exchange number).
NOT_COMPARABLE: dict[Any, str] = {
    "02_newRepo_flow_f43-build": "the builder's side of a newRepo task; the stand-in has no host.* methods",
    **dict.fromkeys(
        [("21_scratch_failed_buildArch", 27), ("21_scratch_failed_buildArch", 29)],
        "the player of the recording let the siblings of the failed task end; a builder cancels them",
    ),
    ("12_login_ssl", 0): "needs TLS and a certificate: see test_hub_server",
    ("14_login_gssapi", 0): "needs Kerberos",
    ("37_hosts_channels", 9): "the real hub fails on it with a traceback of its own (the method is given a name)",
}
# Values are the same in both worlds, so equality is asked for.
EXACT = {"getAPIVersion", "getKojiVersion", "hello", "echo", "getUser", "getPerms", "getUserPerms", "getRPMDeps"}
EXACT |= {"getBuildTarget", "getBuildTargets", "getTag", "getBuildConfig", "getAllArches", "getFullInheritance"}
EXACT |= {"getInheritanceData", "listPackagesSimple", "getPackage", "getPackageID", "getPackageConfig", "getChannel"}
EXACT |= {"listChannels", "taskFinished", "getTaskRequest", "tagChangedSinceEvent", "getTagExternalRepos", "listTags"}
SRPM_FAILED = "error building srpm, mock exited with status 30; see root.log for more information"


class Clock:
    """Time that goes on when told to."""

    def __init__(self) -> None:
        self.now = 1795337200.0

    def __call__(self) -> float:
        return self.now


def source(name: str, version: str, release: str, *requires: str, **fields: Any) -> SourcePackage:
    arch = "noarch" if name == "maven" else "x86_64"
    return SourcePackage(name, version, release, build_requires=requires, binaries=(Binary(name, arch),), **fields)


BASH = source(
    "bash", "5.2.37", "1.fc43",
    "(ncurses-devel or ncurses-compat)", "bison < 4", "gcc", "make >= 4.2", "pkgconfig(zlib) = 1.3", "texinfo",
)  # fmt: skip
ZLIB = source("zlib-ng", "2.2.2", "1.fc43", "gcc")
MC = source(
    "mc", "4.8.33", "2.fc43", "/usr/bin/aspell", "glib2-devel", "slang-devel >= 1:2.0.0-1",
    epoch=1, exclude_arch=("s390x", "i686"),
)  # fmt: skip
MAVEN = source(
    "maven", "3.9.9", "5.fc43", "maven-local",
    build_archs=("noarch",), exclusive_arch=("x86_64", "aarch64", "noarch"),
)  # fmt: skip
FPC = source("fpc", "3.2.2", "1.fc43", "fpc", exclusive_arch=("x86_64", "i686", "ppc64le"))
RNV = source("rnv", "1.7.11", "33.fc43", "gcc", exclusive_arch=("x86_64",))


class World:
    """The recorded hub, up to a point in its history."""

    def __init__(self, topdir: Path, tasks: int = 0) -> None:
        self.clock = Clock()
        self.hub = Hub(topdir, Timings(assign=1.0, srpm=(2, 2), arch=(5, 5), repo=(3, 3)), clock=self.clock)
        self._users_and_hosts()
        self._tags()
        self._packages_and_builds()
        self._repositories()
        self._scratch_builds(tasks)
        while len(self.hub.tasks) < tasks:
            self.hub.tasks.cancel(self.hub.tasks.create("build", ["x.src.rpm", "f43", {}], 1))

    def _users_and_hosts(self) -> None:
        self.hub.add_user("koschei", "koscheipw", krb_principal="koschei@TEST.LOCAL", may_choose_repo=True)
        self.hub.add_user("somebody")
        self.hub.add_user("nobody1", "nobodypw")
        self.hub.add_host("builder1", "x86_64 i686", 4.0)
        self.hub.add_host("builder2", "aarch64", 2.0, load=0.4)
        self.hub.add_host("builder3", "ppc64le", 2.0, load=0.4)
        self.hub.add_host("builder4", "s390x", 2.0, ready=False, update_ts=None)

    def _tags(self) -> None:
        hub = self.hub
        hub.add_tag("f43-build", "x86_64 aarch64 ppc64le s390x i686")
        for name in ("f43", "f43-updates", "f43-override", "f43-other"):
            hub.add_tag(name)
        hub.add_tag("f44-build", "x86_64")
        hub.add_tag("f44")
        for child, parent in (("f43-build", "f43-override"), ("f43-override", "f43-updates"), ("f43-updates", "f43")):
            hub.set_parents(child, [parent])
        hub.set_parents("f44-build", ["f44"])
        hub.add_target("f43", "f43-build", "f43")
        hub.add_target("rawhide", "f44-build", "f44")
        hub.set_group("f43-build", "build", ["bash", "bzip2", "coreutils", "gcc", "make"])

    def _packages_and_builds(self) -> None:
        hub = self.hub
        owners = {"mc": "koschei", "maven": "koschei", "rnv": "koschei", "eclipse": "koschei"}
        for name in ("bash", "zlib-ng", "mc", "maven", "fpc", "blockedpkg", "nobuild", "rnv", "eclipse"):
            extra = "i686" if name == "fpc" else None
            hub.add_package("f43", name, owners.get(name, "kojiadmin"), extra_arches=extra)
        hub.block_package("f43", "blockedpkg")
        while len(hub.world.event_times) < 69:
            hub.world.new_event()
        for each in (BASH, ZLIB, MC, MAVEN, FPC):
            hub.import_build("f43", each, imported=True)

    def _repositories(self) -> None:
        """Number 1 is stuck in INIT, 2 (f43-build) and 3 (f44-build) are READY."""
        hub = self.hub
        for number, tag in enumerate(("f43-build", "f43-build", "f44-build"), 1):
            repo = hub.repos.get(hub.new_repo(tag, wait=number > 1))
            for arch in ("x86_64", "aarch64"):
                request = [number, arch, None]
                child = hub.tasks.create("createrepo", request, 1, parent=repo.task_id, label=arch, channel_id=2)
                if number > 1:
                    hub.tasks.close(child, None)
                elif arch == "x86_64":
                    hub.tasks.assign(child, 1)
                    hub.tasks.open(child)
                child.awaited = True
            hub.tasks[repo.task_id].waiting = True
        hub.agenda._heap.clear()  # nothing finishes repository 1

    def _scratch_builds(self, tasks: int) -> None:
        """The builds of files 20 to 27, as far as their tasks come before task number `tasks`."""
        arch_failed, srpm_failed = Outcome("arch_failed"), Outcome("srpm_failed", text=SRPM_FAILED)
        story = (
            (10, BASH, {"scratch": True, "arch_override": "x86_64 aarch64"}, None),
            (14, MC, {"scratch": True, "fail_fast": True}, arch_failed),
            (19, MAVEN, {"scratch": True}, srpm_failed),
            (21, MAVEN, {"scratch": True}, Outcome("infra")),
            (24, MAVEN, {"scratch": True}, Outcome("buildroot")),
            (27, MAVEN, {"scratch": True}, Outcome("lock")),
            (28, MAVEN, {"scratch": True}, Outcome("canceled")),
            (31, MAVEN, {"scratch": True, "repo_id": 2}, None),
        )
        for number, package, opts, outcome in story:
            if number > tasks:
                return
            self.hub.outcome = lambda context, outcome=outcome: outcome
            src = f"../packages/{package.name}/{package.version}/{package.release}/src/{package.srpm}"
            task = self.hub.submit(src, None if "repo_id" in opts else "f43", opts, 2, 30)
            assert task.id == number
            self.advance_until(lambda task=task: task.finished)
        self.hub.outcome = None

    def advance_until(self, condition: Callable[[], bool], steps: int = 2000) -> None:
        for _ in range(steps):
            if condition():
                return
            self.clock.now += 0.05
            self.hub.tick()


@dataclass
class Scenario:
    """How a file's world differs. before[i] is run before exchange i."""

    tasks: int = 33
    outcome: Outcome | None = None
    setup: Callable[[World], Any] = lambda world: None
    before: dict[int, Callable[[World], Any]] = field(default_factory=dict)


def _more_repos(world: World) -> None:
    world.hub.new_repo("f43-build", wait=True)


def _real_build(world: World) -> None:
    world.hub.sources.add(RNV)
    task = world.hub.submit("cli-build/1795.abc/rnv-1.7.11-33.fc43.src.rpm", "f43", {}, 1, None)
    assert task.id == 46
    world.advance_until(lambda: task.finished)


def _retagged_and_untagged(world: World) -> None:
    for _ in range(2):
        world.hub.untag_build("f43", BASH.nvr)
        world.hub.tag_build("f43", BASH.nvr)
    world.hub.untag_build("f43", BASH.nvr)


def _expired_and_problem(world: World) -> None:
    _more_repos(world)
    world.hub.expire_repo(2)
    world.hub.fail_repo(1)


def _expire_and_lie(world: World) -> None:
    world.hub.faults.lie_after_renew()
    world.hub.faults.expire_sessions()


def _leave_logs(world: World) -> None:
    directory = world.hub.tasks.directory(world.hub.tasks[71])
    directory.mkdir(parents=True)
    (directory / "build.log").write_text("x")


def _loads(world: World) -> None:
    world.hub.world.host("builder1").arches = "i386 x86_64"


def _freed(world: World) -> None:
    task = world.hub.tasks[55]
    world.advance_until(lambda: task.state == 0 and task.start_ts is not None)


SCENARIOS: dict[str, Scenario] = {
    "18_session_expired_renew": Scenario(before={1: lambda world: world.hub.faults.expire_sessions()}),
    "18c_session_closed": Scenario(before={1: lambda world: world.hub.faults.close_sessions()}),
    "18d_renew_after_write": Scenario(tasks=95, before={5: _expire_and_lie}),
    "19_callnum_retry_sequence": Scenario(tasks=37),
    "20_scratch_success": Scenario(tasks=9),
    "21_scratch_failed_buildArch": Scenario(tasks=13, outcome=Outcome("arch_failed")),
    "22_scratch_failed_rebuildSRPM": Scenario(tasks=18, outcome=Outcome("srpm_failed", text=SRPM_FAILED)),
    "23_scratch_failed_infra_code1": Scenario(tasks=20, outcome=Outcome("infra")),
    "24_scratch_failed_buildroot_1012": Scenario(tasks=23, outcome=Outcome("buildroot")),
    "25_scratch_failed_lockerror_1001": Scenario(tasks=26, outcome=Outcome("lock", text="lock conflict example")),
    "26_scratch_cancel": Scenario(tasks=27),
    "27_scratch_repo_id_no_target": Scenario(tasks=30),
    "28_real_build_rnv_reads": Scenario(tasks=45, setup=_real_build),
    "29_policy_violation_repo_id": Scenario(tasks=51, setup=_more_repos),
    "29b_unknown_target": Scenario(tasks=53),
    "29c_freed_task": Scenario(tasks=54, outcome=Outcome("freed"), before={1: _freed}),
    "31b_untagged": Scenario(
        setup=_retagged_and_untagged, before={2: lambda world: world.hub.tag_build("f43", BASH.nvr)}
    ),
    "36b_repo_expired_problem": Scenario(setup=_expired_and_problem),
    "37b_hosts_with_load": Scenario(setup=_loads),
    "52_hub_mode_lockout": Scenario(setup=lambda world: world.hub.faults.lockout()),
    "52_hub_mode_offline": Scenario(
        setup=lambda world: world.hub.faults.offline("outage for upgrade, back at 12:00 UTC")
    ),
    "57_misc_methods": Scenario(tasks=71, setup=_leave_logs),
}


class Player:
    """Sends a file's exchanges, in their order."""

    def __init__(self, world: World, server: HubServer) -> None:
        self.world = world
        self.server = server
        self.sessions: dict[str, dict[str, Any]] = {}

    def play(self, exchange: Exchange) -> Any:
        """Our answer, a Fault, or the HTTP status when it is not 200."""
        self._catch_up(exchange)
        params = tuple(exchange["params"])
        body = koji.xmlrpcplus.dumps(params, exchange["method"]).encode()
        url = self.server.hub_url + ("/ssllogin" if exchange["url"].endswith("/ssllogin") else "")
        request = urllib.request.Request(url, body, self._headers(exchange))
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                raw = response.read()
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        try:
            (answer,), _ = koji.xmlrpcplus.loads(raw)
        except Fault as fault:
            return fault
        if exchange["method"] == "login":
            self.sessions[exchange["response"]["session-key"]] = answer
        if "_raw_response" in exchange and exchange["method"] == "echo":
            assert raw.decode() == exchange["_raw_response"]
        return answer

    def _headers(self, exchange: Exchange) -> dict[str, str]:
        recorded = exchange.get("http_request_headers", {})
        headers = {"Content-Type": "text/xml"}
        key = recorded.get("Koji-Session-Key")
        if key is None:
            return headers
        if key not in self.sessions and key.endswith("-bogus"):
            session = {**next(iter(self.sessions.values())), "session-key": key}
        else:
            session = self.sessions.get(key) or self._login(key)
        headers["Koji-Session-Id"] = str(session["session-id"])
        headers["Koji-Session-Key"] = session["session-key"]
        headers["Koji-Session-Callnum"] = recorded["Koji-Session-Callnum"]
        return headers

    def _login(self, key: str) -> dict[str, Any]:
        """A session that was open before the recording began; its key begins with the user's id."""
        user = self.world.hub.world.users[int(key.split("-")[0])]
        self.sessions[key] = self.world.hub.sessions.login(user, 2, None)
        return self.sessions[key]

    def _catch_up(self, exchange: Exchange) -> None:
        """Let time go on until our task is where the recorded one was."""
        method, params, answer = exchange["method"], exchange["params"], exchange.get("response")
        task = self.world.hub.tasks.get(params[0]) if params and type(params[0]) is int else None
        if task is None:
            return
        if method == "getTaskInfo" and answer:
            waits = answer["waiting"] is not None
            self.world.advance_until(lambda: task.state == answer["state"] and (task.waiting is not None or not waits))
            assert task.state == answer["state"]
        elif method == "getTaskChildren" and answer:
            self.world.advance_until(lambda: _children_ready(self.world, task.children, answer))
        elif method in ("getTaskResult", "taskFinished") and "is not finished" not in str(exchange.get("fault")):
            self.world.advance_until(lambda: task.finished)


def _children_ready(world: World, ours: list[int], recorded: list[Exchange]) -> bool:
    rank = {koji.TASK_STATES["FREE"]: 0, koji.TASK_STATES["ASSIGNED"]: 1, koji.TASK_STATES["OPEN"]: 2}
    states = {child: world.hub.tasks[child].state for child in ours}
    return all(
        each["id"] in states and rank.get(states[each["id"]], 3) >= rank.get(each["state"], 3) for each in recorded
    )


# comparing


def shape(value: Any) -> Any:
    """The structure of a value: types for leaves, one merged shape for all elements of a list."""
    if isinstance(value, dict):
        if set(value) == {"__base64__"}:
            return {"bytes"}
        if value and all(key.isdecimal() or "." in key for key in value if isinstance(key, str)):
            return {"*": merge(shape(each) for each in value.values())}  # keyed by data: ids, file names
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return ["list", merge(shape(each) for each in value)]
    if isinstance(value, XmlBinary):
        return {"bytes"}
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00:00", value):
        return {"time"}
    return {type(value).__name__}


def merge(shapes: Iterator[Any]) -> Any:
    merged: Any = None
    for each in shapes:
        merged = each if merged is None else _merge_two(merged, each)
    return merged


def _merge_two(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: _merge_two(one.get(key), other.get(key)) for key in {*one, *other}}
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, list) and isinstance(other, list):
        return ["list", _merge_two(one[1], other[1])]
    if isinstance(one, set) and isinstance(other, set):
        return one | other
    return {"mixed", str(type(one)), str(type(other))} | (one if isinstance(one, set) else set())


def differences(recorded: Any, ours: Any, path: str = "") -> list[str]:
    """Where two shapes differ; an empty list says nothing about its elements, nor an empty dict keyed by data."""
    if recorded is None or ours is None:
        return []
    if isinstance(recorded, dict) and isinstance(ours, dict):
        if not recorded or not ours:
            return []
        found = [f"{path}: {key} missing" for key in recorded if key not in ours]
        found += [f"{path}: {key} too much" for key in ours if key not in recorded]
        for key in recorded:
            if key in ours:
                found += differences(recorded[key], ours[key], f"{path}.{key}")
        return found
    if isinstance(recorded, list) and isinstance(ours, list):
        return differences(recorded[1], ours[1], f"{path}[]")
    return [] if recorded == ours else [f"{path}: recorded {recorded}, ours {ours}"]


def comparable_rows(recorded: Any, ours: Any) -> tuple[Any, Any]:
    """Children of a task are compared where they are in the same state: builders differ in who goes first."""
    if not (isinstance(recorded, list) and isinstance(ours, list)):
        return recorded, ours
    mine = {row["id"]: row for row in ours}
    assert mine.keys() >= {row["id"] for row in recorded}
    pairs = [(row, mine[row["id"]]) for row in recorded if mine[row["id"]]["state"] == row["state"]]
    return [row for row, _ in pairs], [row for _, row in pairs]


def numbers_out(text: str) -> str:
    return "Traceback" if text.startswith("Traceback") else re.sub(r"(session|Session) \"?\d+\"?", "session N", text)


def compare(exchange: Exchange, ours: Any) -> None:
    if "transport_error" in exchange:
        assert f" {ours} " in f" {exchange['transport_error'].split(':')[1]} "
        return
    if "fault" in exchange:
        assert isinstance(ours, Fault), f"recorded the fault {exchange['fault']}, ours is {ours!r}"
        assert ours.faultCode == exchange["fault"]["faultCode"]
        assert numbers_out(ours.faultString) == numbers_out(exchange["fault"]["faultString"])
        return
    recorded = exchange["response"]
    assert not isinstance(ours, Fault), f"{ours!r}"
    if exchange["method"] in EXACT:
        assert ours == recorded
    if exchange["method"] == "multiCall":
        for mine, theirs in zip(ours, recorded, strict=True):
            if isinstance(theirs, dict):
                assert (mine["faultCode"], mine["faultString"]) == (theirs["faultCode"], theirs["faultString"])
    if exchange["method"] == "getTaskChildren":
        recorded, ours = comparable_rows(recorded, ours)
    if exchange["method"] == "getRPMHeaders" and "headers" not in exchange["params"][0]:
        ours = {key: value for key, value in ours.items() if key in recorded}
    assert bool(recorded) == bool(ours) or exchange["method"] == "listTaskOutput"
    assert differences(shape(recorded), shape(ours)) == []


@functools.cache
def recording(stem: str) -> list[Exchange]:
    return json.loads((RECORDINGS / f"{stem}.json").read_text())["exchanges"]


@functools.cache
def replayed(stem: str) -> list[Any]:
    """Our answers to all of a file's exchanges."""
    scenario = SCENARIOS.get(stem, Scenario())
    with tempfile.TemporaryDirectory() as topdir:
        world = World(Path(topdir), scenario.tasks)
        scenario.setup(world)
        world.hub.outcome = lambda context: scenario.outcome if context.arch != "aarch64" else None
        with HubServer(world.hub) as server:
            player = Player(world, server)
            answers = []
            for number, exchange in enumerate(recording(stem)):
                scenario.before.get(number, lambda world: None)(world)
                comparable = exchange.get("method") and not reason_against(stem, number)
                answers.append(player.play(exchange) if comparable else None)
        world.hub.close()
    return answers


def reason_against(stem: str, number: int) -> str | None:
    return NOT_COMPARABLE.get(stem) or NOT_COMPARABLE.get((stem, number))


def exchanges() -> Iterator[Any]:
    for path in sorted(RECORDINGS.glob("*.json")) if RECORDINGS.is_dir() else []:
        content = json.loads(path.read_text())
        if isinstance(content, dict) and "exchanges" in content:
            for number, exchange in enumerate(content["exchanges"]):
                if exchange.get("method") and not reason_against(path.stem, number):
                    yield pytest.param(path.stem, number, id=f"{path.stem}-{number}-{exchange['method']}")


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"no recordings in {RECORDINGS}")
@pytest.mark.parametrize(("stem", "number"), list(exchanges()))
def test_answers_as_the_real_hub_did(stem: str, number: int) -> None:
    compare(recording(stem)[number], replayed(stem)[number])


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"no recordings in {RECORDINGS}")
@pytest.mark.parametrize("entry", NOT_COMPARABLE, ids=str)
def test_what_is_not_comparable_was_recorded(entry: Any) -> None:
    stem, number = entry if isinstance(entry, tuple) else (entry, 0)
    assert recording(stem)[number]["method"]


def test_has_every_method_of_the_specification() -> None:
    wanted = """getAPIVersion getKojiVersion logout getLoggedInUser getUser listTagged listPackages getLatestBuilds
    getBuild listBuilds listRPMs getRPM getRPMDeps getRPMHeaders getBuildTarget getTag getBuildConfig getTagGroups
    getAllArches getRepo repoInfo repo.request getChannel listHosts build cancelTask getTaskInfo getTaskChildren
    listTasks getTaskResult taskFinished listTaskOutput downloadTaskOutput createTag createBuildTarget newRepo"""
    assert set(wanted.split()) <= set(REGISTRY)


def test_the_comparison_notices_what_differs() -> None:
    row = {"id": 1, "time": "2026-11-22 08:47:47.307016+00:00", "task_id": None}
    assert differences(shape([row]), shape([row, row])) == []
    for change in ({"id": "1"}, {"id": True}, {"time": "2026-11-22 08:47:47"}, {"task_id": 5}, {"extra": 1}):
        assert differences(shape([row]), shape([{**row, **change}])) != []
    assert differences(shape(row), shape({"id": 1, "task_id": None})) != []
    assert differences(shape([1]), shape(1)) != []
