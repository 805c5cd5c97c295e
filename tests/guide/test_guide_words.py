"""The operators' guide is complete: each state has its remedy, each alert its metric, each old command its new one."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from prometheus_client import REGISTRY

import backend.metrics  # noqa: F401 - registers the metrics
from admin.main import COMMANDS
from backend.health import Pulse
from koschei import doctor, webhooks
from koschei.db.engine import Database
from koschei.rules.schedulability import CHECKS
from koschei.rules.states import CollectionState
from koschei.status import Health
from koschei.webhooks import Wish
from tests.guide.guide import GUIDE, SOMEBODY, Installation

TEXT = GUIDE.read_text()
NOW = datetime(2026, 11, 22, tzinfo=UTC)

ALERTS = (
    "KoscheiServiceDown",
    "KoscheiPassesFailing",
    "KoscheiPassStale",
    "KoscheiEventsWaiting",
    "KoscheiNothingSubmitted",
    "KoscheiFrontendErrors",
    "KoscheiPagesFail",
    "KoscheiDatabaseUnreachable",
)
# What Prometheus and kube-state-metrics have by themselves.
THEIRS = {"up", "kube_deployment_status_replicas_unavailable"}
PROMQL = {"absent", "by", "count", "increase", "max", "on", "rate", "sum", "time", "unless"}
LABELS = {"deployment", "pod", "service", "status"}

# What the Koschei that people run today has in /usr/bin, and its koschei-admin's commands.
OLD_COMMANDS = (
    "add-group add-pkg alembic branch-collection cleanup clear-notice create-collection create-collection-group "
    "create-db create-group delete-collection delete-collection-group edit-collection edit-collection-group edit-group "
    "fork-collection psql set-arch-override set-notice set-priority submit-build"
).split()
OLD_PROGRAMS = (
    "koschei-scheduler koschei-polling koschei-watcher koschei-repo-resolver koschei-build-resolver koschei-frontend "
    "koschei-copr-resolver koschei-copr-scheduler koschei-config koschei-refresh-group koschei-refresh-distgit-group "
    "koschei-refresh-user-group koschei-track-group koschei-selfcheck"
).split()


def part(title: str) -> str:
    """A section of the guide."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, f"the guide has no section {title!r}"
    return found[1]


def table(text: str) -> list[list[str]]:
    """The rows of tables, without headings."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")
    ]
    assert rows
    return rows


def states_of_a_pulse() -> set[str]:
    pulse = Pulse("watcher")
    seen = {pulse.facts()["state"]}
    for change in (pulse.standby, lambda: pulse.success(NOW, {}), lambda: pulse.failure(NOW, "it broke")):
        change()
        seen.add(pulse.facts()["state"])
    return seen


def test_every_section_says_something() -> None:
    parts = re.split(r"^#+ .*\n", TEXT, flags=re.MULTILINE)[1:]
    assert len(parts) > 20
    assert [text for text in parts if not re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).strip()] == []


@pytest.mark.parametrize("state", [*Health, *CollectionState, *sorted(states_of_a_pulse())])
def test_every_state_of_a_service_and_a_collection_has_its_remedy(state: str) -> None:
    assert f"`{state}`" in part("At 3 a.m.")


@pytest.mark.parametrize("state", doctor.State)
def test_every_verdict_of_doctor_is_explained(state: str) -> None:
    assert re.search(rf"[*`]{state}[*`]", part("At 3 a.m."))


def test_everything_that_doctor_looks_at_has_its_remedy(installation: Installation, database: Database) -> None:
    config = installation.config(database.url)
    with database.begin() as session:
        webhooks.add(session, SOMEBODY, config, "dashboard", Wish(url="https://dashboard.example.org/koschei"))
    found = {one.name for one in doctor.findings(config, datetime.now(UTC))}
    assert {"server", "koji login", "service polling", "webhook dashboard", "repository of f27"} <= found
    names = {re.sub(r"^(service|webhook) .*", r"\1 NAME", name) for name in found | set(doctor.REMEDIES)}
    names = {re.sub(r"^repository of .*", "repository of COLLECTION", name) for name in names}
    assert [name for name in sorted(names) if f"`{name}`" not in part("At 3 a.m.")] == []


def test_every_condition_of_a_build_is_in_the_section_about_stuck_packages() -> None:
    # Each is named by words of its reason.
    words = (
        "No suitable SRPM was found",
        "no build architecture allowed",
        "is not tracked",
        "is blocked in koji",
        "has a running build",
        "are not resolvable",
        "were not resolved yet",
        "has no known build",
        "built too often today",
        "Koji spoiled the last build, or did not tell what is needed to build it",
        "Base buildroot is not resolvable",
        "Base buildroot is not resolvable, or was not resolved yet",
    )
    assert len(words) == len(CHECKS)
    assert [word for word in words if word not in part("A stuck package")] == []


def test_the_alerts_are_those_that_deployments_know_by_name() -> None:
    assert [row[0].strip("`") for row in table(part("Alerts"))] == list(ALERTS)
    assert all(len(row) == 4 and all(row) for row in table(part("Alerts")))


@pytest.mark.parametrize("row", table(part("Alerts")), ids=ALERTS)
def test_an_alert_is_over_metrics_and_labels_that_exist(row: list[str]) -> None:
    expression = row[1].split("`")[1]
    ours = {family.name for family in REGISTRY.collect()} | {
        f"{family.name}_total" for family in REGISTRY.collect() if family.type == "counter"
    }
    words = set(re.findall(r"[a-z_]{2,}", re.sub(r'"[^"]*"|\[\w+\]', "", expression)))
    assert words & (ours | THEIRS)
    assert words - ours - THEIRS - PROMQL - LABELS == set()
    assert expression.count("(") == expression.count(")")


def test_every_command_of_the_old_koschei_is_there_under_its_name() -> None:
    assert [name for name in OLD_COMMANDS if name not in COMMANDS] == []


@pytest.mark.parametrize("name", OLD_PROGRAMS)
def test_every_program_of_the_old_koschei_has_its_line(name: str) -> None:
    befores = [row[0] for row in table(part("What became of ..."))]
    assert any(re.search(rf"`{name}( [A-Z ]+)?`", cell) for cell in befores)


@pytest.mark.parametrize("command", sorted(set(re.findall(r"koschei-admin ([a-z][a-z-]+)", TEXT))))
def test_every_command_that_the_guide_names_exists(command: str) -> None:
    assert command in COMMANDS
