"""Badges: right, cheap, and readable by everybody."""

from __future__ import annotations

import struct
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from flask.testing import FlaskClient

from frontend import badges
from koschei.db.engine import Database
from koschei.rules.states import BuildState, PackageState
from tests.frontend.conftest import counting
from tests.world import filling

PICTURES = Path(badges.__file__).parent / "static" / "badges"


@pytest.fixture
def filled(database: Database) -> Database:
    """A package in every state."""
    with filling(database) as world:
        f44 = world.collection("f44")
        world.build(world.package("ok", f44), BuildState.COMPLETE)
        world.build(world.package("failing", f44), BuildState.FAILED)
        world.package("unresolved", f44, resolved=False)
        world.package("unknown", f44)
        world.package("untracked", f44, tracked=False)
        world.package("blocked", f44, blocked=True)
        world.build(world.package("java-1.8.0+x", f44), BuildState.COMPLETE)
    return database


@pytest.mark.parametrize("state", PackageState)
def test_a_badge_shows_the_state(filled: Database, client: FlaskClient, state: PackageState) -> None:
    svg = client.get(f"/badge/f44/{state}.svg")
    assert (svg.status_code, svg.content_type) == (200, "image/svg+xml")
    root = ET.fromstring(svg.data)
    assert root.get("aria-label") == f"koschei: {state}"
    assert [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")] == ["koschei", state]
    png = client.get(f"/badge/f44/{state}.png")
    assert (png.status_code, png.content_type) == (200, "image/png")
    assert png.data == (PICTURES / f"{state}.png").read_bytes()


@pytest.mark.parametrize("word", badges.LOOKS)
def test_there_is_a_png_of_the_size_of_each_svg(word: str) -> None:
    root = ET.fromstring(badges.svg(word))
    content = (PICTURES / f"{word.replace(' ', '-')}.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == (int(root.get("width", "")), int(root.get("height", "")))


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("word", badges.LOOKS)
def test_words_are_easily_read_on_their_ground(word: str) -> None:
    _, ground, ink = badges.LOOKS[word]
    dark, light = sorted((luminance(ground), luminance(ink)))
    assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.parametrize("address", ["/badge/f44/nothing", "/badge/f99/ok", "/badge/f44/ok%2F..%2Fok"])
@pytest.mark.parametrize("kind", ["svg", "png"])
def test_what_there_is_not_is_a_picture_too(filled: Database, client: FlaskClient, address: str, kind: str) -> None:
    answer = client.get(f"{address}.{kind}")
    assert answer.status_code == 404
    if "%2F" not in address:
        assert answer.content_type.startswith("image/")


def test_without_any_collection_it_is_a_picture_too(database: Database, client: FlaskClient) -> None:
    answer = client.get("/badge/f44/ok.svg")
    assert (answer.status_code, answer.content_type) == (404, "image/svg+xml")


def test_it_is_kept_for_a_while_and_not_sent_twice(filled: Database, client: FlaskClient) -> None:
    with counting(filled) as statements:
        first = client.get("/badge/f44/java-1.8.0+x.svg")
    assert len(statements) <= 3
    assert first.headers["Cache-Control"] == "public, max-age=300"
    again = client.get("/badge/f44/java-1.8.0+x.svg", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    other = client.get("/badge/f44/failing.svg", headers={"If-None-Match": first.headers["ETag"]})
    assert other.status_code == 200


def test_the_page_of_a_package_says_how_to_show_it(filled: Database, client: FlaskClient) -> None:
    page = client.get("/package/ok?collection=f44").text
    assert '<img src="/badge/f44/ok.svg" alt="koschei: ok"' in page
    assert "[![Koschei](http://localhost/badge/f44/ok.svg)](http://localhost/package/ok?collection=f44)" in page
