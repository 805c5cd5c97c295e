"""The documentation, made of the Markdown files of docs/: with anchors, and links that lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from flask import url_for
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

# They are links to docs/, so that wheels carry them.
FOLDER = Path(__file__).parent / "guides"
# By their names in addresses; the first one is what /documentation opens with.
TITLES = {
    "user-guide": "User guide",
    "api": "REST API and messages",
    "glossary": "Glossary",
    "operations": "Operations guide",
    "configuration": "Configuration",
}
NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")


@dataclass(frozen=True)
class Heading:
    """A heading that the table of contents lists."""

    anchor: str
    text: str


@dataclass(frozen=True)
class Document:
    """A document as a page: its title, its text without that, and its headings."""

    name: str
    title: str
    body: Markup
    headings: tuple[Heading, ...]


@cache
def document(name: str) -> Document:
    """The document of this name, which TITLES must have. Needs an application, for the addresses of the others."""
    # Raw HTML stays text: nothing but what Markdown can say comes out.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = _without_title(markdown.parse((FOLDER / f"{name}.md").read_text()))
    headings = tuple(_anchored(tokens))
    for token, following in pairwise([*_all(tokens), Token("end", "", 0)]):
        if token.type == "link_open":
            _relink(token, following)
    _labelled(tokens)
    body = Markup(markdown.renderer.render(tokens, markdown.options, {}))  # noqa: S704 - raw HTML is off
    return Document(name, TITLES[name], body, headings)


def slug(text: str) -> str:
    """The anchor of a heading, as forges make it: links between documents use the same."""
    return NOT_IN_ANCHORS.sub("", text.lower()).strip().replace(" ", "-")


def address(name: str) -> str:
    """Where a document is."""
    return url_for("docs.documentation") if name == next(iter(TITLES)) else url_for("docs.document", name=name)


def _without_title(tokens: list[Token]) -> list[Token]:
    """The page has it already, as its own heading."""
    return tokens[3:] if tokens and tokens[0].tag == "h1" else tokens


def _anchored(tokens: list[Token]) -> Iterator[Heading]:
    """Give every heading an anchor of its own; those of the second level make the table of contents."""
    taken: dict[str, int] = {}
    for token, inline in pairwise(tokens):
        if token.type != "heading_open":
            continue
        text = "".join(child.content for child in inline.children or [])
        anchor = slug(text)
        taken[anchor] = taken.get(anchor, -1) + 1
        if taken[anchor]:
            anchor = f"{anchor}-{taken[anchor]}"
        token.attrSet("id", anchor)
        if token.tag == "h2":
            yield Heading(anchor, text)


def _labelled(tokens: Sequence[Token]) -> None:
    """Let cells say what column they are in: on a phone a row becomes a card."""
    columns: list[str] = []
    position = 0
    for token, inline in pairwise(tokens):
        match token.type:
            case "table_open":
                token.attrSet("class", "cards")
                columns = []
            case "tr_open":
                position = 0
            case "th_open":
                token.attrSet("scope", "col")
                columns.append("".join(child.content for child in inline.children or []))
            case "td_open":
                if position:
                    token.attrSet("data-label", columns[position])
                position += 1


def _all(tokens: Iterable[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _all(token.children or [])


def _relink(token: Token, words: Token) -> None:
    """Let a link to another document lead to its page, by its title; one to what is not served leads nowhere."""
    target = urlsplit(str(token.attrGet("href") or ""))
    if target.scheme:
        token.attrSet("rel", "noopener")
    elif target.path:
        name = target.path.removesuffix(".md")
        if name not in TITLES:
            del token.attrs["href"]
            return
        token.attrSet("href", address(name) + (f"#{target.fragment}" if target.fragment else ""))
        if words.content == target.path:
            words.content = TITLES[name]
