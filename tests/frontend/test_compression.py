"""Answers are compressed as the browser asks for it, unless that could give a secret away."""

from __future__ import annotations

import gzip

import brotli
import pytest
from flask import Flask, g
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from koschei.db.engine import Database
from tests.world import filling

ALL = {"Accept-Encoding": "gzip, deflate, br, zstd"}


@pytest.fixture
def reader(client: FlaskClient, database: Database) -> FlaskClient:
    """A client of a Koschei with a package."""
    with filling(database) as world:
        world.package("hello", world.collection())
    return client


def encoding(answer: TestResponse) -> str | None:
    assert "Accept-Encoding" in answer.vary
    return answer.headers.get("Content-Encoding")


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("br;q=0.2, gzip;q=0.9", "gzip"),
        ("deflate", None),
        ("identity", None),
        ("", None),
    ],
)
def test_pages_are_compressed_as_the_browser_asks(reader: FlaskClient, asked: str, given: str | None) -> None:
    assert encoding(reader.get("/", headers={"Accept-Encoding": asked})) == given


def test_what_comes_out_is_the_page(reader: FlaskClient) -> None:
    plain = reader.get("/packages").data
    packed = reader.get("/packages", headers={"Accept-Encoding": "br"})
    assert brotli.decompress(packed.data) == plain
    assert packed.headers["Content-Length"] == str(len(packed.data))
    assert len(packed.data) < len(plain) / 2
    assert gzip.decompress(reader.get("/packages", headers={"Accept-Encoding": "gzip"}).data) == plain


def test_static_files_and_the_api_are_compressed_and_small_or_packed_things_are_not(reader: FlaskClient) -> None:
    for address in ("/static/koschei.css", "/static/base.css", "/static/koschei.js", "/documentation"):
        with reader.get(address, headers=ALL) as answer:
            assert encoding(answer) == "zstd", address
    with reader.get("/static/koschei.css", headers={"Accept-Encoding": "gzip"}) as answer:
        assert b"--paper" in gzip.decompress(answer.data)
    assert encoding(reader.get("/healthz/live", headers=ALL)) is None
    assert encoding(reader.get("/api/v1/packages", headers=ALL)) is None


def test_each_form_of_an_answer_has_a_validator_of_its_own(reader: FlaskClient) -> None:
    for address in ("/static/koschei.css", "/static/base.css"):
        seen = set()
        for asked in ("zstd", "br", "gzip", "identity"):
            with reader.get(address, headers={"Accept-Encoding": asked}) as answer:
                seen.add(answer.headers["ETag"])
            again = {"Accept-Encoding": asked, "If-None-Match": answer.headers["ETag"]}
            with reader.get(address, headers=again) as unchanged:
                assert unchanged.status_code == 304
                assert unchanged.data == b""
        assert len(seen) == 4


def test_a_secret_is_not_compressed_beside_words_of_somebody_elses_choice(reader: FlaskClient, app: Flask) -> None:
    @app.before_request
    def like_a_form() -> None:
        g.csrf_token = "a token"

    for address in ("/", "/packages", "/collections"):
        assert encoding(reader.get(address, headers=ALL)) == "zstd", address
    for address in ("/search?q=nix", "/packages?state=ok", "/user/nobody", "/package/hello", "/nothing"):
        assert "Content-Encoding" not in reader.get(address, headers=ALL).headers, address
