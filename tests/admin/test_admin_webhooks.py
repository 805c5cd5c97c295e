"""Commands about webhooks: what they say, what they keep to themselves, and what is on record."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from koschei import webhook_queue, webhooks
from koschei.db.engine import Database
from koschei.messaging.http_post import Answer
from koschei.model import OutboxEvent, Webhook
from tests.admin.conftest import Shell, audit_log
from tests.receivers import Receiver, nobody, receiver, says

API = Path(__file__).resolve().parents[2] / "docs" / "api.md"
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]+")
URL = "https://hooks.example.org/koschei?token=hidden"
LOCAL = '[webhooks]\nallow_http = true\nallowed_networks = ["127.0.0.0/8"]\ntimeout = 2\n'


def hook(database: Database) -> Webhook:
    with database.begin() as session:
        return webhooks.find(session, "hook")


def fail(database: Database, answer: Answer) -> None:
    """An event was to be told to the webhook, and was not taken."""
    with database.begin() as session:
        session.add(OutboxEvent(kind="package.state.change", body={"name": "foo", "collection": "f27", "groups": []}))
        webhook_queue.place(session)
    now = datetime.now(UTC)
    with database.begin() as session:
        job = webhook_queue.take(session, hook(database).id, now)
    assert job is not None
    with database.begin() as session:
        webhook_queue.record(session, webhooks.WebhooksConfig(), job, answer, now)


def test_a_secret_is_shown_once_and_never_again(shell: Shell, database: Database) -> None:
    shown = shell.ok("add-webhook", "hook", URL, "-c", "f27", "-p", "foo", "-d", "Ask bob")
    secret = SECRET.findall(shown)
    assert secret == [hook(database).secret]
    assert shown.startswith("Webhook hook created: address at https://hooks.example.org; description = Ask bob; coll")
    afterwards = [
        shell.ok(*line.split())
        for line in (
            "list-webhooks",
            "show-webhook hook",
            "show-webhook hook --json",
            "list-webhooks --json",
            "log",
            "status --json",
            "test-webhook --show hook",
            "edit-webhook hook -d x",
            "delete-webhook --force hook",
        )
    ]
    assert [text for text in afterwards if secret[0].removeprefix("whsec_") in text] == []
    with database.begin() as session:
        log = audit_log(session)
    assert [name for name, _ in log] == ["alice"] * 3
    assert "hidden" not in repr(log)


def test_programs_get_the_secret_too_and_a_trial_has_none(shell: Shell, database: Database) -> None:
    tried = json.loads(shell.ok("add-webhook", "hook", URL, "--json", "-n"))
    assert tried == {"messages": ["Webhook hook created: address at https://hooks.example.org"], "dry_run": True}
    made = json.loads(shell.ok("add-webhook", "hook", URL, "--json"))
    assert made == {**tried, "dry_run": False, "secret": hook(database).secret}
    changed = json.loads(shell.ok("edit-webhook", "hook", "--rotate-secret", "--json"))
    assert changed["secret"] == hook(database).secret != made["secret"]
    assert hook(database).old_secret == made["secret"]


def test_filters_are_replaced_and_cleared(shell: Shell, database: Database) -> None:
    shell.ok("add-group", "mine", "foo")
    shell.ok("add-webhook", "hook", URL, "-c", "f27", "-c", "f28", "-g", "mine", "-k", "package.state.change")
    assert "package.state.change about group mine in f27, f28" in shell.ok("list-webhooks")
    shell.ok("edit-webhook", "hook", "-c", "f28", "-p", "bar")
    found = json.loads(shell.ok("show-webhook", "hook", "--json"))
    assert (found["collections"], found["groups"], found["packages"]) == (["f28"], ["mine"], ["bar"])
    shell.ok("edit-webhook", "hook", "--everything", "-p", "foo")
    found = json.loads(shell.ok("show-webhook", "hook", "--json"))
    wanted = [found[key] for key in ("kinds", "collections", "groups", "packages")]
    assert wanted == [[], [], [], ["foo"]]
    assert "everything about foo" in shell.ok("show-webhook", "hook")
    assert shell.run("edit-webhook", "hook", "-p", "foo").stderr.startswith("Nothing to change")


def test_it_is_disabled_and_enabled(shell: Shell, database: Database) -> None:
    shell.ok("add-webhook", "hook", URL)
    assert shell.ok("edit-webhook", "hook", "--disable") == "Webhook hook disabled\n"
    assert re.search(r"hook .* disabled +0 +disabled since 20.. *", shell.ok("list-webhooks").replace("\n", " "))
    assert "Webhook hook is disabled since" in shell.ok("status")
    assert "by alice" in shell.ok("show-webhook", "hook")
    assert shell.ok("edit-webhook", "hook", "--enable", "--skip") == "Webhook hook enabled\n"
    assert "Webhook hook" not in shell.ok("status")


def test_failures_are_shown_with_the_last_deliveries(shell: Shell, database: Database) -> None:
    shell.ok("add-webhook", "hook", URL)
    assert "Nothing was delivered yet" in shell.ok("show-webhook", "hook")
    fail(database, Answer(0.2, 500, "HTTP status 500: oops"))
    assert re.search(
        r"Webhook hook is failing since .*, 1 times, next try .*: HTTP status 500: oops", shell.ok("status")
    )
    shown = shell.ok("show-webhook", "hook")
    assert re.search(r"package.state.change +[0-9a-f-]{36} +failed +0.20 s +HTTP status 500: oops", shown)
    data = json.loads(shell.ok("status", "--json"))["webhooks"]
    assert [(one["name"], one["health"], one["waiting"]) for one in data] == [("hook", "failing", 1)]
    with database.begin() as session:
        session.execute(update(Webhook).values(next_attempt=None))
    assert "webhook hook" in shell.run("doctor").stdout
    assert "edit-webhook hook --enable" in shell.run("doctor").stdout


@pytest.fixture
def local(shell: Shell) -> Shell:
    """A shell whose settings allow receivers of this machine."""
    shell.configure(LOCAL)
    return shell


def documented_check() -> Any:
    """What docs/api.md tells receivers to do."""
    code = re.search(r"```python\n((?:(?!```).)*?def is_koscheis.*?)```", API.read_text(), re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)
    return names["is_koscheis"]


def ping(shell: Shell, found: Receiver) -> str:
    secret = SECRET.findall(shell.ok("add-webhook", "hook", found.url()))[0]
    assert re.fullmatch(r"hook took the ping: HTTP status 204 after \d\.\d\d s\n", shell.ok("test-webhook", "hook"))
    return secret


def test_a_ping_is_what_the_documentation_says_and_its_check_believes_that_only(
    local: Shell, database: Database
) -> None:
    with receiver() as found:
        secret = ping(local, found)
        renewed = SECRET.findall(local.ok("edit-webhook", "hook", "--rotate-secret"))[0]
        local.ok("test-webhook", "hook")
    is_koscheis = documented_check()
    first, second = found.requests
    assert (first.event["kind"], first.event["body"], first.headers["Content-Type"]) == ("ping", {}, "application/json")
    assert is_koscheis(secret, first.headers, first.text)
    assert is_koscheis(secret, second.headers, second.text)
    assert is_koscheis(renewed, second.headers, second.text)
    assert not is_koscheis(renewed, first.headers, first.text)
    assert not is_koscheis(secret, first.headers, first.text + b" ")
    assert not is_koscheis(secret, second.headers, first.text)
    assert not is_koscheis(secret, first.headers, first.text, now=int(first.headers["webhook-timestamp"]) + 301)


def test_a_ping_that_is_not_taken_says_why(local: Shell, database: Database) -> None:
    with receiver(says(403, b"not you")) as found:
        local.ok("add-webhook", "hook", found.url())
        local.ok("add-webhook", "dead", nobody())
        result = local.run("test-webhook", "hook")
        as_json = local.run("test-webhook", "hook", "--json")
        dead = local.run("test-webhook", "dead")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "Error: hook did not take the ping: HTTP status 403: not you\n"
    assert as_json.exit_code == 3
    told = json.loads(as_json.stdout)
    assert (told["delivered"], told["status"], told["error"]) == (False, 403, "HTTP status 403: not you")
    assert dead.exit_code == 3
    assert "Connection refused" in dead.stderr
    assert hook(database).failures == 0


def test_the_settings_of_today_count_for_a_ping(local: Shell, database: Database) -> None:
    with receiver() as found:
        local.ok("add-webhook", "hook", found.url())
        local.settings.write_text(local.settings.read_text().replace("127.0.0.0/8", "10.0.0.0/8"))
        result = local.run("test-webhook", "hook")
    assert result.exit_code == 3
    assert "127.0.0.1 is not a public address" in result.stderr
    assert found.requests == []
