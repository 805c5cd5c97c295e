"""The markup of announcements: links are made of addresses, and of nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from frontend.notices import notice_markup
from koschei.db.engine import Database
from tests.world import filling


def link(target: str, words: str | None = None) -> str:
    return f'<a href="{target}" rel="noopener nofollow">{words or target}</a>'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Nothing special", "Nothing special"),
        ("See https://example.org/a?b=1#c.", f"See {link('https://example.org/a?b=1#c')}."),
        ("See [the page](https://example.org/x), please", f"See {link('https://example.org/x', 'the page')}, please"),
        ("(https://example.org/)", f"({link('https://example.org/')})"),
        ("https://example.org/a_(b) c", f"{link('https://example.org/a_(b)')} c"),
        ("a & <b>", "a &amp; &lt;b&gt;"),
        ("https://example.org/?a=1&b=2", link("https://example.org/?a=1&amp;b=2")),
        ("[click](javascript:alert(1))", "[click](javascript:alert(1))"),
        ("[click](//example.org)", "[click](//example.org)"),
        ("[<i>x</i>](https://example.org)", link("https://example.org", "&lt;i&gt;x&lt;/i&gt;")),
        ('[x](https://example.org/"onclick="y)', f"[x]({link('https://example.org/')}&#34;onclick=&#34;y)"),
        ("https://", "https://"),
        ("https://...", "https://..."),
        ("xhttps://example.org", "xhttps://example.org"),
        ("[](https://example.org)", f"[]({link('https://example.org')})"),
        ("https://example.org/" + "x" * 3000, "https://example.org/" + "x" * 3000),
    ],
)
def test_addresses_become_links_and_nothing_else_does(text: str, shown: str) -> None:
    assert str(notice_markup(text)) == shown


class Seen(HTMLParser):
    """The tags and the text of some markup."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


PIECES = st.sampled_from(
    [
        "[",
        "]",
        "(",
        ")",
        "https://",
        "http://",
        "javascript:",
        "data:",
        "<",
        ">",
        '"',
        "'",
        "&",
        "&amp;",
        "\n",
        " ",
        "\\",
    ]
)
TEXTS = st.lists(PIECES | st.text(alphabet=st.characters(exclude_characters="\r\0", codec="utf-8"), max_size=12)).map(
    "".join
)


@given(TEXTS)
def test_whatever_is_written_only_links_to_the_web_come_out(text: str) -> None:
    seen = Seen(str(notice_markup(text)))
    for tag, attributes in seen.tags:
        assert tag == "a"
        assert set(attributes) == {"href", "rel"}
        assert attributes["rel"] == "noopener nofollow"
        assert re.fullmatch(r"https?://[^\s<>\"']+", attributes["href"] or "")
        assert attributes["href"] in text


@given(st.text(alphabet=st.characters(exclude_characters="\r\0[", codec="utf-8")))
def test_a_text_without_brackets_reads_as_it_was_written(text: str) -> None:
    assert Seen(str(notice_markup(text))).text == text


def test_an_announcement_has_its_links_on_the_page(client: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        world.collection()
        world.notice("Koji is <b>away</b>: [its status](https://status.example.org/)")
    page = client.get("/").text
    assert "Koji is &lt;b&gt;away&lt;/b&gt;: " + link("https://status.example.org/", "its status") in page
