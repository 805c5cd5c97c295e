"""A database as a distribution's Koschei has it after half a year: everything that pages and the API show."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from random import Random

from sqlalchemy import Connection, text

from bench.pages import names
from bench.pages.copying import NULL, copy, moment, row
from bench.pages.dependencies import Binaries, applied, key, unapplied
from bench.pages.history import COMPLETE, DAY, FAILED, RELEASES, RUNNING, SPAN, Past, Present, Sizes, happened
from koschei import statistics
from koschei.config import Config
from koschei.db.engine import Database
from koschei.db.schema import upgrade
from koschei.messaging.events import PACKAGE_STATE_CHANGE

SEED = 20261122
ARCHES = ("aarch64", "s390x", "x86_64")
PROBLEMS = (
    "nothing provides libavif.so.16()(64bit) needed by imlib2-1.12.3-4.fc45.x86_64 from build",
    "package gdk-pixbuf2-modules-extra-2.44.1-1.fc45.x86_64 from build requires libavif.so.16()(64bit), "
    "but none of the providers can be installed",
    "conflicting requests",
)
SUBMISSION = json.dumps(
    {"by": "scheduler", "priority": {"manual": 0, "static": 0, "dependency": 256.0, "build": 0, "time": 38.4}}
)
# Names of global groups that are large, and the share of all packages that they hold.
LARGE = (("critical-path", 0.2), ("core", 0.15), ("server", 0.12), ("desktop", 0.08), ("python-sig", 0.05))


class Filling:
    """One database being filled; the same sizes and moment give the same data."""

    def __init__(self, connection: Connection, sizes: Sizes, now: datetime, say: Callable[[str], None]) -> None:
        self.connection = connection
        self.sizes = sizes
        self.now = now.timestamp()
        self.say = say
        self.chance = Random(SEED)
        self.names = names.packages(sizes.packages, self.chance)

    def copy(self, table: str, columns: str, lines: Iterable[str]) -> None:
        """Fill a table, and say so."""
        self.say(table)
        copy(self.connection, table, columns, lines)

    def everything(self) -> None:
        """All tables, as if nobody looked at foreign keys: they hold, and looking takes longer than the rest."""
        self.connection.execute(text("SET session_replication_role = replica"))
        self.collections()
        self.say("history")
        packages, builds = happened(self.sizes, self.now, self.chance)
        self.packages(packages)
        self.builds(builds)
        self.states(packages)
        self.people()
        self.groups()
        self.changes(packages, builds)
        self.settle()

    def collections(self) -> None:
        """The releases and their repositories."""
        start = self.now - SPAN
        collections, repositories = [], []
        for number, release in enumerate(RELEASES, 1):
            newest, broken = self.repository(self.now, number), release.name == "eln"
            tags = (f"{release.name}", release.name, f"{release.name}-build")
            bugs = ("Fedora", release.name.removeprefix("f"))
            names = (release.name, release.title, *tags, *bugs)
            collections.append(row(number, release.order, *names, newest, not broken))
            for i in range(1500):
                at = start + SPAN * i / 1499
                repositories.append(
                    row(
                        number, self.repository(at, number), not (broken and i == 1499), moment(at), moment(at + 840),
                        self.sizes.packages - 400, 400, i * 7 % 500,
                    )
                )  # fmt: skip
        columns = "id order name display_name target dest_tag build_tag bugzilla_product bugzilla_version"
        columns += " latest_repo_id latest_repo_resolved"
        self.copy("collection", columns, collections)
        columns = "collection_id repo_id base_resolved started finished resolved unresolved changed"
        self.copy("repository_resolution", columns, dict.fromkeys(repositories))
        eln = 1 + [release.name for release in RELEASES].index("eln")
        self.copy("buildroot_problem", "collection_id problem", (row(eln, problem) for problem in PROBLEMS))
        changes = (row(eln, "ok" if i % 2 else "unresolved", "unresolved" if i % 2 else "ok", i) for i in range(1, 40))
        self.copy("collection_state_change", "collection_id prev new repo_id", changes)
        self.copy("collection_group", "id name display_name", [row(1, "fedora", "Fedora"), row(2, "next", "Next")])
        members = [row(1, 1), row(1, 2), row(1, 3), row(1, 5), row(2, 1), row(2, 4)]
        self.copy("collection_group_relation", "group_id collection_id", members)
        self.copy("admin_notice", "key content", [row("global_notice", "Koji will be moved on Saturday.")])
        services = ("build-resolver", "polling", "repo-resolver", "scheduler", "watcher")
        stamps = [moment(self.now - 90), moment(self.now - 30), moment(self.now - 30)]
        pulses = (row(name, "pod-1", moment(start), 1200, *stamps) for name in services)
        self.copy("service_status", "service instance started interval pass_started pass_finished last_success", pulses)

    def repository(self, at: float, collection: int) -> int:
        """The id of the newest repository of a collection at a moment."""
        return 6_000_000 + int(at - self.now + 2 * SPAN) // 1800 * 10 + collection

    def packages(self, packages: list[Present]) -> None:
        """Source packages in each release."""
        self.copy("base_package", "id name", (row(i, name) for i, name in enumerate(self.names, 1)))
        self.copy(
            "package",
            "id base_id name collection_id tracked blocked manual_priority static_priority build_priority "
            "dependency_priority resolved needs_resolution last_build_id last_complete_build_id "
            "last_complete_build_state running_build_id last_build_started state_since",
            map(self._package, packages),
        )

    def _package(self, package: Present) -> str:
        last, complete, running = package.last, package.complete, package.running
        draw = self.chance.random()
        return row(
            package.id, package.base, self.names[package.base - 1], package.collection, package.tracked,
            package.blocked, 1000 if draw < 0.001 else 0, 100 if draw > 0.998 else 0, 200 if 0.9 < draw < 0.92 else 0,
            int(400 * draw), package.resolved, False, last and last.id, complete and complete.id,
            complete and complete.state, running and running.id, moment(last.started) if last else None,
            moment(package.since),
        )  # fmt: skip

    def builds(self, builds: list[Past]) -> None:
        """Builds with their architecture tasks."""
        self.copy(
            "build",
            "id package_id state task_id started finished epoch version release evr_key repo_id real deps_resolved "
            "fault_text submission",
            map(self._build, builds),
        )
        self.copy("koji_task", "build_id task_id arch state started finished", self._tasks(builds))

    def _build(self, build: Past) -> str:
        release = RELEASES[(build.package - 1) // self.sizes.packages]
        version, suffix = f"{1 + build.version // 40}.{build.version % 40}", f"1.{release.suffix}"
        running, counted = build.state == RUNNING, build.state in (COMPLETE, FAILED)
        finished = NULL if running else moment(build.finished)
        repository = self.repository(build.started, 1 + (build.package - 1) // self.sizes.packages)
        return (
            f"{build.id}\t{build.package}\t{build.state}\t{100_000_000 + 10 * build.id}\t{moment(build.started)}\t"
            f"{finished}\t0\t{version}\t{suffix}\t{key(version, suffix)}\t{NULL if running else repository}\t"
            f"{'t' if build.real else 'f'}\t{'t' if counted else NULL}\t"
            f"{NULL if counted or running else 'Koji broke down'}\t{NULL if build.real else SUBMISSION}"
        )

    def _tasks(self, builds: list[Past]) -> Iterator[str]:
        for build in builds:
            stamps = f"{moment(build.started)}\t{NULL if build.state == RUNNING else moment(build.finished)}"
            states = (2, 2, 2) if build.state == COMPLETE else (1, 1, 0) if build.state == RUNNING else (3, 3, 5)
            for i, (arch, state) in enumerate(zip(ARCHES, states, strict=True), 1):
                yield f"{build.id}\t{100_000_000 + 10 * build.id + i}\t{arch}\t{state}\t{stamps}"

    def states(self, packages: list[Present]) -> None:
        """What became of packages, what was announced of it, and what the resolver said."""
        moves = [(at, p, was, new, build) for p in packages for at, was, new, build in p.moves]
        moves.sort(key=lambda move: (move[0], move[1].id))
        self.copy(
            "package_state_change",
            "package_id prev new cause timestamp build_id repo_id",
            (
                row(p.id, was, new, "build" if build else "resolution", moment(at), build and build.id,
                    None if build else self.repository(at, p.collection))
                for at, p, was, new, build in moves
            ),
        )  # fmt: skip
        self.copy(
            "outbox_event",
            "id kind body package_id created sent attempts position",
            (
                row(i, PACKAGE_STATE_CHANGE, self._event(p, was, new), p.id, moment(at), moment(at + 5), 1, i)
                for i, (at, p, was, new, _) in enumerate(moves, 1)
            ),
        )
        answers = [(at, p, new != "unresolved") for at, p, was, new, _ in moves if "unresolved" in (was, new)]
        answers += [(self.now - SPAN - 60 * p.id % DAY, p, True) for p in packages if p.resolved is not None]
        answers.sort(key=lambda answer: (answer[0], answer[1].id))
        self.copy(
            "resolution_change",
            "id package_id resolved timestamp repo_id",
            (
                row(i, p.id, resolved, moment(at), self.repository(at, p.collection))
                for i, (at, p, resolved) in enumerate(answers, 1)
            ),
        )
        self.copy(
            "resolution_problem",
            "resolution_id position problem",
            (
                row(i, position, PROBLEMS[(i + position) % len(PROBLEMS)])
                for i, (_, _, resolved) in enumerate(answers, 1)
                if not resolved
                for position in range(1 + i % 5)
            ),
        )

    def _event(self, package: Present, was: str, new: str) -> str:
        release = RELEASES[package.collection - 1]
        name = self.names[package.base - 1]
        body = {"name": name, "old": was, "new": new, "repo": release.name, "collection": release.name}
        return json.dumps({**body, "collection_name": release.title, "groups": ["critical-path"]})

    def people(self) -> None:
        """Users, what they maintain (the first one a lot), and what they did."""
        self.users = names.people(self.sizes.people, self.chance)
        self.copy("user", "id name admin", (row(i, name, i == 2) for i, name in enumerate(self.users, 1)))
        pairs = {(self.users[0], name) for name in self.names[:: max(1, len(self.names) // 3000)]}
        for name in self.names:
            pairs.update((user, name) for user in self.chance.choices(self.users, k=self.chance.randint(1, 3)))
        self.copy("package_maintainer", "user_name package", (row(*pair) for pair in sorted(pairs)))
        self.copy("maintainer_source", "id url last_good", [row(1, "https://src.example.org/", moment(self.now))])
        self.copy("log_entry", "user_id environment timestamp message base_id", self._entries())

    def _entries(self) -> Iterator[str]:
        number = self.sizes.log_entries
        for i in range(number):
            at = moment(self.now - 2 * SPAN * (1 - i / number))
            base = self.chance.randint(1, self.sizes.packages)
            user, where = (None, "backend") if i % 3 == 0 else (self.chance.randint(1, len(self.users)), "frontend")
            yield row(user, where, at, f"Package {self.names[base - 1]}: manual_priority changed from 0 to 500", base)

    def groups(self) -> None:
        """Groups of every size."""
        rows, members, maintainers = [], [], []
        every = range(1, self.sizes.packages + 1)
        for number, (name, share) in enumerate(self._groups(), 1):
            namespace, _, short = name.rpartition("/")
            rows.append(row(number, namespace or None, short))
            size = int(share * len(every)) if share < 1 else min(int(share), len(every))
            members += [row(number, base) for base in sorted(self.chance.sample(every, size))]
            owners = self.chance.sample(range(1, len(self.users) + 1), self.chance.randint(0, 4))
            if number % 64 == 2:
                owners.append(1)
            maintainers += [row(number, user) for user in sorted(set(owners))]
        self.copy("package_group", "id namespace name", rows)
        self.copy("package_group_relation", "group_id base_id", members)
        self.copy("group_acl", "group_id user_id", maintainers)

    def _groups(self) -> Iterator[tuple[str, float]]:
        """Names, and sizes: below 1 a share of all packages."""
        yield from LARGE
        for i in range(self.sizes.groups - len(LARGE)):
            yield f"{names.words(self.chance)}-sig-{i}", self.chance.choice((5, 12, 30, 60, 120, 300))
        for i in range(self.sizes.groups_of_people):
            yield f"{self.users[i % len(self.users)]}/mine-{i}", self.chance.choice((3, 8, 20, 40))

    def changes(self, packages: list[Present], builds: list[Past]) -> None:
        """Binary packages, and how they changed."""
        found = names.binaries(self.names, self.sizes.binaries, self.chance)
        binaries = Binaries(found, self.now, self.chance)
        self.copy("dependency", "id name epoch version release arch evr_key", binaries.rows())
        columns = "build_id position distance prev_dep_id curr_dep_id"
        lines = applied(builds, binaries, self.sizes.packages, self.sizes.changes_each, self.chance)
        self.copy("applied_change", columns, lines)
        lines = unapplied(packages, binaries, self.chance)
        self.copy("unapplied_change", "package_id distance prev_dep_id curr_dep_id", lines)

    def settle(self) -> None:
        """Let new rows get ids behind those that are there."""
        self.connection.execute(
            text("""
                DO $$ DECLARE t text; BEGIN
                    FOREACH t IN ARRAY ARRAY['collection', 'base_package', 'package', 'build', 'user', 'package_group',
                                             'dependency', 'resolution_change', 'collection_group', 'outbox_event'] LOOP
                        EXECUTE format('SELECT setval(pg_get_serial_sequence(%L, ''id''), max(id)) FROM %I',
                                       quote_ident(t), t);
                    END LOOP;
                END $$
            """)
        )


def fill(url: str, sizes: Sizes, now: datetime, say: Callable[[str], None]) -> None:
    """Make the tables and fill them; `say` hears what is being done."""
    upgrade(url)
    database = Database(url)
    try:
        with database.engine.begin() as connection:
            Filling(connection, sizes, now, say).everything()
        say("statistics")
        while statistics.refresh(database, Config(), now).behind:
            pass
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            say("vacuum")
            connection.execute(text("VACUUM ANALYZE"))
    finally:
        database.dispose()
