"""The documentation cannot rot: whatever people can set, run, open, measure or receive is described."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import pytest
from prometheus_client import REGISTRY

import backend.metrics  # noqa: F401 - registers the metrics
from admin.main import cli
from backend.main import SERVICES
from frontend.api_v2.declare import ROUTES, Route
from frontend.api_v2.openapi import ERRORS, parameters_of
from frontend.app import create_app
from koschei import errors
from koschei.config import Config
from koschei.messaging.events import KINDS
from koschei.rules.states import BuildState, PackageState

DOCS = Path(__file__).resolve().parents[1] / "docs"
README = DOCS.parent / "README.md"


def text(name: str) -> str:
    return (DOCS / name).read_text()


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def commands() -> list[str]:
    return cli.list_commands(click.Context(cli))


def metrics() -> list[str]:
    families = [family for family in REGISTRY.collect() if family.name.startswith("koschei_")]
    return sorted(f"{family.name}_total" if family.type == "counter" else family.name for family in families)


def routes() -> list[str]:
    app = create_app(Config.model_validate({"flask": {"SECRET_KEY": "not a secret, only a test"}}))
    return sorted({rule.rule for rule in app.url_map.iter_rules()})


@pytest.mark.parametrize("name", commands())
def test_every_command_is_in_the_operations_guide(name: str) -> None:
    assert f"`koschei-admin {name}`" in text("operations.md")


@pytest.mark.parametrize("name", commands())
def test_every_command_has_help_with_an_example(name: str) -> None:
    shown = command(name).get_help(click.Context(command(name), info_name=f"koschei-admin {name}"))
    assert f"koschei-admin {name}" in shown.split("Usage:")[1]
    assert "Example" in shown


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_in_the_operations_guide(name: str) -> None:
    assert f"`koschei-backend {name}`" in text("operations.md")


@pytest.mark.parametrize("name", metrics())
def test_every_metric_is_in_the_operations_guide(name: str) -> None:
    assert f"`{name}`" in text("operations.md")


@pytest.mark.parametrize("rule", routes())
def test_every_route_is_documented(rule: str) -> None:
    assert re.search(rf"`([A-Z]+ )?{re.escape(rule)}`", text("api.md") + text("user-guide.md"))


@pytest.mark.parametrize("route", [route for route in ROUTES if route.reads], ids=lambda route: route.path)
def test_every_parameter_of_the_api_is_documented(route: Route) -> None:
    rows = [line for line in text("api.md").splitlines() if line.startswith("| `") and f"/api/v2{route.path}`" in line]
    row = " ".join(rows)
    names = [parameter["name"] for parameter in parameters_of(route.query)]
    assert [name for name in names if name not in ("limit", "cursor") and f"`{name}`" not in row] == []


def test_every_status_of_an_error_is_documented() -> None:
    rows = " ".join(re.findall(r"^\| ([\d, ]+) \|", text("api.md"), re.MULTILINE))
    assert sorted(map(int, re.findall(r"\d+", rows))) == sorted(ERRORS)


@pytest.mark.parametrize("word", [*(state.word for state in BuildState), *PackageState])
def test_every_state_is_explained(word: str) -> None:
    assert f"\n| {word} | " in text("user-guide.md")


@pytest.mark.parametrize("kind", KINDS)
def test_every_message_is_documented(kind: str) -> None:
    assert f"`{kind}`" in text("api.md")


def test_every_error_is_drawn_in_the_tree() -> None:
    names = [name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)]
    assert errors.__doc__ is not None
    assert [name for name in names if not re.search(rf"\b{name}\b", errors.__doc__)] == []


def test_links_between_documents_lead_somewhere() -> None:
    root = DOCS.parent
    broken = []
    for page in [README, *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(root)}: {target}")
    assert broken == []


def test_the_smallest_configuration_is_enough() -> None:
    block = re.search(r"^ +\[database_config\]\n(?: +\S.*\n|\n)+", README.read_text(), re.MULTILINE)
    assert block is not None
    config = Config.model_validate(tomllib.loads(block[0].replace('"..."', '"a text that nobody can guess"')))
    assert config.secret_key()
    assert config.database_url()


@pytest.mark.parametrize("line", re.findall(r"^ +(koschei-(?:admin|backend) .*)", README.read_text(), re.MULTILINE))
def test_what_the_readme_runs_exists(line: str) -> None:
    program, name = line.split()[:2]
    assert name in (commands() if program == "koschei-admin" else SERVICES)
