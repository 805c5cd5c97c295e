"""Every command while Koji is away: those that ask it say so and leave nothing half-done, the others do their work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from xmlrpc.client import Fault

import koji
import pytest
from click.testing import Result
from sqlalchemy import select, text

from koschei.db.engine import Database
from koschei.koji import session as koji_session
from koschei.model import Collection
from tests.admin.command_rows import ROWS, Needs, Row, fingerprint, write_files
from tests.admin.conftest import MakeShell, Shell
from tests.koji.conftest import Hang, Http, ScriptedHub
from tests.koji.conftest import hub as hub  # a fixture

PASSWORD = "hunter2"
ASKING = [row for row in ROWS.values() if row.koji]
COMMANDS = [row for row in ASKING if row.needs is not Needs.REPORT]
TARGET = {"name": "f30", "build_tag_name": "f30-build", "dest_tag_name": "f30", "build_tag": 1, "dest_tag": 2, "id": 3}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Koji is asked once, and files are at hand."""
    monkeypatch.setattr(koji_session, "TRIES", 1)
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)


@pytest.fixture
def shell(make_shell: MakeShell, filled_url: str) -> Shell:
    """A shell whose settings name a Koji that refuses connections, until a test says otherwise."""
    shell = make_shell(filled_url)
    shell.configure(
        f'[koji_config]\nlogin_method = "login"\nlogin_args = {{user = "koschei", password = "{PASSWORD}"}}'
    )
    return shell


@pytest.fixture
def database(filled_url: str) -> Iterator[Database]:
    database = Database(filled_url)
    yield database
    database.dispose()


def at(shell: Shell, hub: ScriptedHub) -> Shell:
    shell.env["KOSCHEI__KOJI_CONFIG__SERVER"] = hub.url
    return shell


def refuse_connections(hub: ScriptedHub) -> None:
    hub.url = "http://127.0.0.1:9/kojihub"


def answer_with_html(hub: ScriptedHub) -> None:
    page = Http(502, b"<html><body><h1>502 Bad Gateway</h1></body></html>")
    for method in ("login", "getBuildTarget", "multiCall", "listTagged", "getAPIVersion"):
        hub.say(method, page)


def be_offline(hub: ScriptedHub) -> None:
    for method in ("login", "getBuildTarget", "multiCall", "listTagged", "getAPIVersion"):
        hub.say(method, Fault(koji.ServerOffline.faultCode, "database outage"))


def refuse_the_login(hub: ScriptedHub) -> None:
    hub.say("login", Fault(koji.AuthError.faultCode, "invalid username or password"))


def fall_silent(hub: ScriptedHub) -> None:
    hub.say("login", Hang(threading.Event()))


def fall_silent_after_the_login(hub: ScriptedHub) -> None:
    for method in ("getBuildTarget", "multiCall", "listTagged", "listPackages", "getAPIVersion", "getRepo"):
        hub.say(method, Hang(threading.Event()))


IMPATIENT = "[koji_config.session_opts]\ntimeout = [5, 0.2]\nauth_timeout = [5, 0.2]\nretry_interval = 0.05"
"""What is behind the configuration of Koji where it falls silent; what answers may take its time."""


AWAY: dict[str, tuple[Callable[[ScriptedHub], None], tuple[str, ...]]] = {
    "it refuses connections": (refuse_connections, ("Koji cannot be reached", "Connection refused", "Try again when")),
    "a proxy answers": (answer_with_html, ("Koji answered login with HTTP status 502", "Try again when Koji works")),
    "it is offline": (be_offline, ("Koji is offline", "database outage", "Try again when Koji works")),
    "it refuses our login": (refuse_the_login, ("invalid username or password", "Check koji_config.login_args")),
    "it does not answer": (fall_silent, ("Koji cannot be reached", "Read timed out", "Try again when Koji works")),
    "it stops answering": (fall_silent_after_the_login, ("Koji cannot be reached", "Read timed out")),
}


def check_told(result: Result, row: Row, hub: ScriptedHub, words: tuple[str, ...]) -> None:
    said = f"{row.line}: {result.output}"
    assert result.exit_code == 3, said
    assert result.stdout == "", said
    assert len([line for line in result.stderr.splitlines() if not line.startswith("20")]) == 1, said
    for word in (*words, f"asked: {hub.url}", "Nothing was changed"):
        assert word in result.stderr, said
    assert "Traceback" not in result.output, said
    assert PASSWORD not in result.output, said


@pytest.mark.parametrize("how", AWAY)
def test_what_asks_koji_says_that_it_is_away_and_changes_nothing(
    shell: Shell, hub: ScriptedHub, database: Database, how: str
) -> None:
    go_away, words = AWAY[how]
    go_away(hub)
    if "Read timed out" in words:
        shell.configure(IMPATIENT)
    before = fingerprint(database)
    for row in COMMANDS:
        check_told(at(shell, hub).run(*row.words), row, hub, words)
        assert fingerprint(database) == before, row.line
    dry = shell.run("reconcile", "--dry-run")
    check_told(dry, ROWS["reconcile"], hub, words)


@pytest.mark.parametrize("how", ["it refuses connections", "a proxy answers", "it is offline"])
def test_what_looks_at_everything_reports_it(shell: Shell, hub: ScriptedHub, how: str) -> None:
    go_away, words = AWAY[how]
    go_away(hub)
    for name, code in (("selfcheck", 3), ("doctor", 1)):
        result = at(shell, hub).run(name)
        assert result.exit_code == code, result.output
        assert "koji: Koji " in result.stdout
        assert words[0].removesuffix(" login with HTTP status 502") in result.stdout
        assert hub.url in result.stdout
        assert PASSWORD not in result.output


@pytest.mark.parametrize("line", ["edit-collection f28 -d 'Fedora 28'", "edit-collection f28 -o 5 --new-name f28x"])
def test_a_collection_whose_target_stays_is_edited_without_koji(shell: Shell, line: str) -> None:
    """All other commands that do not ask it: test_admin_outages."""
    assert "Collection f28 modified: " in shell.ok(*Row(line).words)


def test_nobody_waits_for_a_collection_while_koji_is_asked_about_its_target(
    shell: Shell, hub: ScriptedHub, database: Database
) -> None:
    asked = []

    def answer(*_: object) -> dict[str, object]:
        with database.begin() as session:
            session.execute(select(Collection).with_for_update(nowait=True)).all()
            session.execute(text("LOCK TABLE dependency_sweep IN ACCESS EXCLUSIVE MODE NOWAIT"))
        asked.append(1)
        return TARGET

    hub.say("getBuildTarget", answer)
    for name, times in {"create": 1, "fork": 1, "edit": 1, "branch": 2}.items():
        asked.clear()
        at(shell, hub).ok(*ROWS[f"{name}-collection"].words)
        assert len(asked) == times, name


def test_what_asks_koji_works_when_it_is_back(shell: Shell, hub: ScriptedHub) -> None:
    hub.say("getBuildTarget", Fault(koji.ServerOffline.faultCode, "back soon"), TARGET)
    row = ROWS["create-collection"]
    assert at(shell, hub).run(*row.words).exit_code == 3
    assert shell.run(*row.words).exit_code == 0
    for name in ("fork-collection", "edit-collection", "branch-collection"):
        assert shell.run(*ROWS[name].words).exit_code == 0, name
