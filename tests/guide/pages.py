"""What people see on a page, and what must become of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser

from flask import Flask

from frontend.access import Role, role_of
from tests.guide.guide import RUNNING_BUILD

UNSEEN = ("script", "style", "title", "symbol")
# What stands for the variable parts of addresses.
ANYTHING = {"name": "foo", "build_id": str(RUNNING_BUILD), "dep": "gcc", "one": "f27", "two": "f39"}
CHANGED = {
    "/collection/<name>": "/collection/f39",
    "/search": "/search?q=ba",
    "/groups/<name>": "/groups/someuser/mygroup",
    "/groups/<namespace>/<name>": "/groups/someuser/mygroup",
    "/affected-by/<dep>": (
        "/affected-by/gcc?collection=f27&epoch1=0&version1=1&release1=1&epoch2=0&version2=2&release2=1"
    ),
    "/documentation/<name>": "/documentation/glossary",
}
# What is not looked at: it is no page, or leads to one.
NO_PAGES = ("api_v1", "api_v2", "badges", "bugreport", "feeds", "health", "meta")
NO_PAGE = ("static", "static_files.base", "login.login", "login.callback")


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden += tag in UNSEEN

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in UNSEEN

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.words += data.split()


def text_of(html: str) -> str:
    """The words of a page, with one space between them."""
    parser = _Text()
    parser.feed(html)
    return " ".join(parser.words)


@dataclass(frozen=True)
class Answer:
    """What came from an address."""

    status: int
    body: str

    @property
    def text(self) -> str:
        """What people read there; of the API, everything."""
        return text_of(self.body) if self.body.lstrip().startswith("<") else self.body


Fetch = Callable[[str], Answer]
"""Gets what is at an address of the frontend."""


@dataclass(frozen=True)
class Sight:
    """Something that can be seen on a page, or not (any more). Without a text: whether there is such a page."""

    page: str
    text: str | None
    there: bool

    def holds(self, fetch: Fetch) -> bool:
        """Whether it is so now. A page that is needed and not there is none."""
        answer = fetch(self.page)
        if self.text is None:
            assert answer.status in (200, 404), answer
            return (answer.status == 200) is self.there
        return answer.status == 200 and (self.text in answer.text) is self.there

    def __str__(self) -> str:
        what = "a page" if self.text is None else f"{self.text!r}"
        return f"{self.page}: {what if self.there else f'not {what}'}"


def shows(page: str, *texts: str) -> list[Sight]:
    """These can be read there."""
    return [Sight(page, text, True) for text in texts]


def hides(page: str, *texts: str) -> list[Sight]:
    """The page is there, and these cannot be read on it."""
    return [Sight(page, text, False) for text in texts]


def opens(page: str) -> list[Sight]:
    """There is such a page."""
    return [Sight(page, None, True)]


def closes(page: str) -> list[Sight]:
    """There is no such page."""
    return [Sight(page, None, False)]


def every_page(app: Flask) -> list[str]:
    """An address of each kind of page that everybody can read."""
    found = []
    for rule in app.url_map.iter_rules():
        pages = rule.endpoint not in NO_PAGE and rule.endpoint.split(".")[0] not in NO_PAGES
        if pages and "GET" in (rule.methods or ()) and role_of(app, rule.endpoint) is Role.ANYONE:
            address = CHANGED.get(rule.rule, rule.rule)
            found.append(re.sub(r"<(?:\w+:)?(\w+)>", lambda part: ANYTHING[part[1]], address))
    return sorted(found)
