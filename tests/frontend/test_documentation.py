"""The documentation as pages: everything leads somewhere, and nothing in it is markup but what Markdown says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from frontend import documents
from koschei.db.engine import Database
from tests.world import filling

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def reader(client: FlaskClient, database: Database) -> FlaskClient:
    """A client of a Koschei with a collection."""
    with filling(database) as world:
        world.collection()
    return client


def test_the_guide_is_the_documentation(reader: FlaskClient) -> None:
    page = reader.get("/documentation").text
    assert "<h1>User guide</h1>" in page
    assert page.count("<h1>") == 1
    assert '<h2 id="what-a-build-is-compared-with">' in page
    assert '<a href="#what-a-build-is-compared-with">What a build is compared with</a>' in page
    assert '<th scope="col">state</th>' in page
    assert '<td data-label="meaning">' in page
    assert "<code>/package/&lt;name&gt;</code>" in page


def test_all_documents_are_there_and_their_links_lead_somewhere(reader: FlaskClient) -> None:
    pages = {}
    for name, title in documents.TITLES.items():
        address = "/documentation" if name == "user-guide" else f"/documentation/{name}"
        pages[address] = reader.get(address).text
        assert f"<h1>{title}</h1>" in pages[address]
    for address, page in pages.items():
        for path, anchor in re.findall(r'href="(/documentation[\w/-]*)?(?:\?[^"#]*)?(?:#([^"]+))?"', page):
            target = pages[path or address]
            assert not anchor or f'id="{anchor}"' in target, (address, path, anchor)
    assert 'href="/documentation/api#webhooks"' in pages["/documentation/operations"]
    assert ">Configuration</a>. How it works: <a>architecture.md</a>" in pages["/documentation/operations"]


def test_another_name_is_no_document(reader: FlaskClient) -> None:
    for name in ("nothing", "..%2Fuser-guide", "user-guide.md"):
        assert reader.get(f"/documentation/{name}").status_code == 404


def test_what_is_shown_is_what_is_in_docs() -> None:
    for name in documents.TITLES:
        assert (documents.FOLDER / f"{name}.md").read_text() == (DOCS / f"{name}.md").read_text()


def test_anchors_are_those_that_forges_make() -> None:
    assert documents.slug("What a build: is `compared` with?") == "what-a-build-is-compared-with"
