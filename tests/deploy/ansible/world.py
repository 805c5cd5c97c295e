"""What is around the cluster: a registry with images, and a database that Jobs migrate.

What a version may do with a database is judged by Koschei's own code (`koschei.db.revisions`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field

from admin.commands_database import _for_playbooks, _status
from koschei.db.revisions import Applied, Phase, Revision, SchemaState, judge, pre_half
from koschei.selfcheck import Check, DatabaseReport

FIRST = Revision("0001", Phase.PRE, "the first schema")
ADDS = Revision("0002", Phase.PRE, "adds a column")
TAKES = Revision("0003", Phase.POST, "takes a column away")


@dataclass(frozen=True)
class Image:
    """A version of Koschei: its digest, and the revisions that it knows. A broken one never starts."""

    name: str
    chain: tuple[Revision, ...] = (FIRST,)
    broken: bool = False

    @property
    def digest(self) -> str:
        """As a registry names it."""
        return f"sha256:{hashlib.sha256(self.name.encode()).hexdigest()}"


OLD = Image("old")
SAME_SCHEMA = Image("same schema")
NEW = Image("new", (FIRST, ADDS, TAKES))
BROKEN = Image("broken", broken=True)


@dataclass
class World:
    """A registry and a database; `fail` has the next Jobs of a component fail."""

    registry: dict[str, Image] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    revisions: list[Applied] = field(default_factory=list)
    reachable: bool = True
    notice: str | None = None
    fail: list[str] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)
    harm: list[str] = field(default_factory=list)
    """What must never be: pods running on a database that they cannot use."""

    def push(self, image: Image, *names: str) -> None:
        """Continuous delivery has brought an image."""
        self.images[image.digest] = image
        for name in names or ("quay.io/koschei/koschei:fedora-prod",):
            self.registry[name] = image

    def image(self, reference: str) -> Image:
        """The image that a pod is made with."""
        return self.images[reference.rpartition("@")[2]]

    def state(self, image: Image) -> SchemaState:
        """The database as this version sees it."""
        return judge(image.chain, self.revisions[-1].name if self.revisions else None, self.revisions)

    def can_run(self, image: Image) -> bool:
        """Whether its processes start, and stay."""
        return not image.broken and self.reachable and self.state(image).usable

    def run(self, component: str, command: list[str], image: Image) -> tuple[int, str]:
        """What a Job does: its exit status, and its log."""
        if component in self.fail:
            self.fail.remove(component)
            return 1, f"{component} failed, as told"
        match command:
            case ["koschei-admin", "db-check", "--json"]:
                return self._check(image)
            case ["koschei-admin", "create-db", *options]:
                return self._migrate(image, options)
            case ["koschei-admin", "psql", "-c", "ANALYZE"]:
                self.happened.append("maintenance")
            case ["koschei-admin", "set-notice", words]:
                self.notice = words
            case ["koschei-admin", "clear-notice"]:
                self.notice = None
            case _:
                return 2, f"Usage: there is no {command}"
        return 0, "done"

    def _check(self, image: Image) -> tuple[int, str]:
        """As the real command answers: its own code makes the answer, of another chain of revisions than ours."""
        state = self.state(image)
        checks = (Check("server", True, "PostgreSQL answers"), Check("revision", state.usable, state.words))
        report = DatabaseReport(checks, state)
        if not self.reachable:
            report = DatabaseReport((Check("server", False, "PostgreSQL does not answer"),), None)
        answer = _for_playbooks(report)
        answer |= {"image_revision": state.newest, "needed_revision": state.needed}
        answer["checks"] = [dataclasses.asdict(one) for one in report.checks]
        return _status(report), f"a warning {{of some library}}\n{json.dumps(answer, indent=2)}"

    def _migrate(self, image: Image, options: list[str]) -> tuple[int, str]:
        state = self.state(image)
        if not self.reachable or not (state.usable or state.migratable):
            return 3, "Nothing can be migrated"
        pending = state.pending
        if options == ["--phase", "pre"]:
            pending = pending if state.found is None else pre_half(pending)
        for revision in pending:
            self.revisions.append(Applied(revision.name, revision.phase, image.name))
            self.happened.append(f"{revision.name} applied")
        return 0, f"The database is at revision {self.revisions[-1].name}"
