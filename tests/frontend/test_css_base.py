"""The sheet that ours stands on: what browsers are made to agree on, and no component of anybody else."""

from __future__ import annotations

import re

from flask.testing import FlaskClient

from frontend import css_base
from frontend.static_files import YEAR


def test_it_has_what_we_rely_on_and_its_licence() -> None:
    sheet = css_base.base()
    assert re.match(r"/\*!\s+\* Bootstrap  v5\.", sheet)
    assert "Licensed under MIT" in sheet
    for rule in (
        "*,::after,::before{box-sizing:border-box}",
        "font-family:var(--bs-body-font-family)",
        "line-height:var(--bs-body-line-height)",
        "color:var(--bs-body-color)",
        "background-color:var(--bs-body-bg)",
        "h1,h2,h3,h4,h5,h6{",
        "table{caption-side:bottom;border-collapse:collapse}",
        "button,input,optgroup,select,textarea{margin:0;font-family:inherit",
        "[hidden]{display:none!important}",
    ):
        assert rule in sheet


def test_it_has_no_components_and_asks_nobody() -> None:
    sheet = re.sub(r"/\*.*?\*/", "", css_base.base(), flags=re.DOTALL)
    assert len(sheet) < 10_000
    assert not re.search(r"\.[a-z][\w-]*[^{}]*\{", re.sub(r"\{[^{}]*\}", "{}", sheet))
    assert "url(" not in sheet
    assert "@import" not in sheet
    assert sheet.count("{") == sheet.count("}")
    assert set(re.findall(r"(--bs-[\w-]+):", sheet)) <= set(re.findall(r"var\((--bs-[\w-]+)", sheet))


def test_rules_are_told_apart_whatever_stands_in_them() -> None:
    sheet = (
        '@charset "UTF-8";:root,[data-bs-theme=light]{--a:1;--b:"}"}.x{color:red}'
        "a:not([href]):not(.y,b),i{top:var(--a)}"
        "@media print{.x{top:0}h1,.h1{top:1px}}@media screen{.x{top:0}}@keyframes k{0%{top:0}}b:is(i,u){top:.5em}"
    )
    kept = css_base._without_unused(css_base._without_components(sheet))
    assert kept == ":root{--a:1;}i{top:var(--a)}@media print{h1{top:1px}}b:is(i,u){top:.5em}"


def test_it_is_served_from_here_and_kept_for_a_year(client: FlaskClient) -> None:
    page = client.get("/").text
    address = re.search(r'href="(/static/base\.css\?v=\w{12})"', page)
    assert address
    assert page.index("base.css") < page.index("koschei.css")
    answer = client.get(address[1])
    assert answer.mimetype == "text/css"
    assert answer.headers["Cache-Control"] == f"public, max-age={YEAR}, immutable"
    assert client.get(address[1], headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert client.get("/static/base.css").headers["Cache-Control"] == "no-cache"
