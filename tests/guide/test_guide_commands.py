"""The operators' guide is true: each command in it runs as written, through the installed script, is on record, and has
its effect on the pages.
"""

from __future__ import annotations

import re

import pytest
from flask import Flask
from sqlalchemy import select

from frontend.app import create_app
from koschei.db.engine import Database
from koschei.model import Environment, LogEntry
from tests.guide.effects import EFFECTS, EVERYWHERE, STORED, Effect, OnNoPage
from tests.guide.guide import GUIDED, VERBATIM, WRITING, Installation, commands, looks_only, prepare
from tests.guide.pages import Answer, Fetch, Sight, every_page

LOOKS = [line for line in GUIDED if looks_only(line)]


def fetcher(app: Flask) -> Fetch:
    """Asks the application directly."""
    client = app.test_client(use_cookies=False)

    def fetch(address: str) -> Answer:
        response = client.get(address)
        return Answer(response.status_code, response.text)

    return fetch


def carried_out(installation: Installation, database: Database, line: str) -> list[str]:
    """Run a line that must succeed; what the audit log has of it."""
    with database.begin() as session:
        before = session.scalars(select(LogEntry.id).order_by(LogEntry.id.desc()).limit(1)).one()
    result = installation.run(database.url, line)
    assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"
    with database.begin() as session:
        entries = session.scalars(select(LogEntry).where(LogEntry.id > before).order_by(LogEntry.id)).all()
        for entry in entries:
            assert entry.environment is Environment.ADMIN
            assert entry.user is not None
            assert entry.user.name == "alice"
        return [entry.message for entry in entries]


def spread(effect: Effect, app: Flask) -> list[Sight]:
    """What must be seen, at each address."""
    if isinstance(effect, OnNoPage):
        return []
    found = []
    for sight in effect:
        pages = every_page(app) if sight.page == EVERYWHERE else [sight.page]
        found += [Sight(page, sight.text, sight.there) for page in pages]
    return found


def test_the_guide_has_commands() -> None:
    assert len(GUIDED) > 30
    assert commands("a koschei-admin x\n    koschei-admin y\n```\n$ koschei-admin z\n```\nkoschei-admin q\n") == [
        "koschei-admin y",
        "koschei-admin z",
    ]


def test_the_guide_has_what_operators_know_by_heart() -> None:
    spelled = {re.sub(r"\s+", " ", line) for line in GUIDED}
    assert [line for line in VERBATIM if line not in spelled and not line.endswith("--collection f27")] == []


def test_what_operators_know_by_heart_is_looked_up_in_the_database_too() -> None:
    assert [line for line in VERBATIM if line not in STORED and not isinstance(EFFECTS[line], OnNoPage)] == []


def test_each_command_of_the_guide_that_changes_something_is_said_to_have_an_effect_on_a_page_or_why_not() -> None:
    assert sorted(EFFECTS) == sorted(WRITING)
    assert all(effect if not isinstance(effect, OnNoPage) else effect.why for effect in EFFECTS.values())


@pytest.mark.parametrize("line", LOOKS)
def test_each_command_of_the_guide_that_looks_succeeds_and_changes_nothing(
    installation: Installation, database: Database, line: str
) -> None:
    assert carried_out(installation, database, line) == []


@pytest.mark.parametrize("line", WRITING)
def test_each_command_of_the_guide_that_changes_something_is_on_record_and_has_its_effect(
    installation: Installation, database: Database, line: str
) -> None:
    app = create_app(installation.config(database.url), database)
    effect = EFFECTS[line]
    fetch = fetcher(app)
    with database.begin() as session:
        prepare(session, line)
    with database.begin() as session:
        assert not isinstance(effect, OnNoPage) or not effect.stored(session)
        assert line not in STORED or not STORED[line](session)
    sights = spread(effect, app)
    assert [str(sight) for sight in sights if sight.holds(fetch)] == [], "so it is before the command, too"
    assert carried_out(installation, database, line) != []
    assert [str(sight) for sight in sights if not sight.holds(fetch)] == []
    with database.begin() as session:
        assert not isinstance(effect, OnNoPage) or effect.stored(session)
        assert line not in STORED or STORED[line](session)
