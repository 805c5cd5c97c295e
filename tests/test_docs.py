"""The documentation cannot rot: whatever people can set, run, open, measure or receive is described."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from prometheus_client import REGISTRY

import backend.metrics  # noqa: F401 - registers the metrics
from admin.main import cli
from backend.main import SERVICES
from frontend.app import create_app
from koschei import errors
from koschei.config import Config
from koschei.messaging.events import KINDS

DOCS = Path(__file__).resolve().parents[1] / "docs"


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
    for page in [root / "README.md", *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(root)}: {target}")
    assert broken == []
