"""Requests that nobody would make: no page breaks, and no answer tells what is for the log only.

`make test-fuzz` sends ten thousand, and more to the API.
"""

from __future__ import annotations

import os
import random
import re
import string
from urllib.parse import quote, urlsplit

import pytest
from flask import Flask

from frontend.access import WITH_TOKENS
from koschei.db.engine import Database
from tests.frontend.persons import BASE, Visitor

REQUESTS = int(os.environ.get("KOSCHEI_FUZZ_REQUESTS", "1500"))
SEED = 20261122
KNOWN = ("gcc", "kernel", "f44", "f43", "eln", "toolchain", "jane", "compression", "zz-hostile", "1", "2", "glibc")
NASTY = (
    "",
    "0",
    "-1",
    "00001",
    "1e309",
    "nan",
    "9" * 30,
    "²",
    "٣",
    "a" * 3000,
    "%",
    "_",
    "*",
    "%00",
    "\0",
    "\r\nSet-Cookie: a=b",
    "..",
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f",
    "/",
    "//evil.example",
    "\\",
    "'",
    '"',
    "' OR 1=1 --",
    "<script>alert(1)</script>",
    "{{ 7*7 }}",
    "${7*7}",
    "\udc80",
    "\U0001f4a9",
    "a,b,,c",
    "2026-13-45",
    "2026-11-22T25:00",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "null",
    "true",
    "[]",
    "1;2",
)
ARGUMENTS = (
    "collection",
    "state",
    "running",
    "untracked",
    "order_by",
    "after",
    "before",
    "key",
    "at",
    "last_seen_ts",
    "group",
    "user",
    "q",
    "of",
    "name",
    "kind",
    "page",
    "next",
    "since",
    "until",
    "environment",
    "package",
    "days",
    "epoch1",
    "version1",
    "release1",
    "epoch2",
    "version2",
    "release2",
    "pair",
    "limit",
    "cursor",
    "packages",
)
WORDS = {
    "state": ("failing", "ok,failing", "blocked"),
    "order_by": ("name", "-since", "state", "priority", "state-f44"),
    "running": ("1",),
    "of": ("users", "global"),
    "kind": ("added", "removed", "upgraded"),
    "days": ("30", "90", "365"),
}
# What must never be read by a stranger: our code, our database, our files.
LEAKS = re.compile(
    r"Traceback|psycopg2|sqlalchemy|SELECT [a-z_]+\.|File &#34;/|File \"/|site-packages|SECRET_KEY|postgresql://", re.I
)


def value(chance: random.Random, name: str = "") -> str:
    """Something that might stand there, or must not."""
    kind = chance.random()
    if kind < 0.35:
        return chance.choice(WORDS.get(name, KNOWN))
    if kind < 0.8:
        return chance.choice(NASTY)
    return "".join(chance.choice(string.printable + "äß€\u202e") for _ in range(chance.randrange(40)))


def path(chance: random.Random, rule: str) -> str:
    """An address that this rule is for, more or less."""
    address = re.sub(
        r"<(?:\w+:)?(\w+)>", lambda part: quote(value(chance, part[1]), safe="/%" if chance.random() < 0.2 else "",
                                                errors="surrogatepass"), rule
    )  # fmt: skip
    pairs = [
        f"{chance.choice(ARGUMENTS)}={quote(value(chance), safe='', errors='surrogatepass')}"
        for _ in range(chance.choice((0, 0, 1, 2, 4, 9)))
    ]
    return address + ("?" + "&".join(pairs) if pairs else "")


def form(chance: random.Random, fields: list[str]) -> dict[str, str]:
    """What a form might be sent with."""
    chosen = [chance.choice(fields) for _ in range(chance.randrange(6))]
    return {name: value(chance, name).encode(errors="replace").decode() for name in chosen}


@pytest.mark.slow
def test_strange_requests_break_nothing(app: Flask, sample: Database) -> None:
    chance = random.Random(SEED)
    visitors = [
        Visitor(app.test_client(), sample),
        Visitor(app.test_client(), sample, "jane"),
        Visitor(app.test_client(), sample, "root", admin=True),
    ]
    tokens = [
        re.search(r'name="csrf_token" value="([^"]+)"', v.get("/logout").text) if v.name else None for v in visitors
    ]
    rules = [
        (rule.rule, "POST" in (rule.methods or ()))
        for rule in app.url_map.iter_rules()
        if rule.endpoint.partition(".")[0] not in (*WITH_TOKENS, "health") and rule.rule != "/logout"
    ]
    fields = sorted({name for text in app.jinja_env.list_templates() for name in names(app, text)} | {*ARGUMENTS})
    broken: list[str] = []
    statuses: dict[int, int] = {}
    for number in range(REQUESTS):
        rule, changes = chance.choice(rules)
        which = chance.randrange(len(visitors))
        client, address = visitors[which].client, path(chance, rule)
        if changes and chance.random() < 0.7:
            found = tokens[which]
            data = {**form(chance, fields), **({"csrf_token": found[1]} if found else {})}
            answer = client.post(address, base_url=BASE, data=data)
            address += f" {data}"
        else:
            answer = client.get(address, base_url=BASE)
        body = answer.get_data().decode(errors="replace")
        answer.close()
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        where = answer.headers.get("Location", "/")
        if answer.status_code >= 500 and answer.status_code != 501:
            broken.append(f"{number} {answer.status_code} {address[:300]!r}")
        elif answer.status_code >= 400 and LEAKS.search(body):
            broken.append(f"{number} tells too much: {address[:300]!r}")
        elif urlsplit(where).netloc not in ("", "localhost", "bugzilla.redhat.com"):
            broken.append(f"{number} sends to {where[:200]!r}")
        elif "Set-Cookie: a=b" in str(answer.headers).replace("%0d%0a", "").split("Set-Cookie: __Host")[0]:
            broken.append(f"{number} lets headers in: {address[:300]!r}")
    assert broken == []
    assert statuses[200] > REQUESTS / 10, statuses
    assert statuses[404] > REQUESTS / 20, statuses


def names(app: Flask, template: str) -> list[str]:
    """The names of the fields in a template."""
    assert app.jinja_env.loader is not None
    source = app.jinja_env.loader.get_source(app.jinja_env, template)[0]
    return re.findall(r'name="([a-z_]+)"', source)
