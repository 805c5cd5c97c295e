"""docs/configuration.md is what the schema says, and says something of every setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from koschei.config import describe
from koschei.config.reference import reference
from koschei.config.retired import RETIRED

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
SETTINGS = {".".join(key): field for key, field in describe.walk()}


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == reference(), "run `make docs`"


@pytest.mark.parametrize("key", SETTINGS)
def test_every_setting_is_described(key: str) -> None:
    description = SETTINGS[key].description or ""
    assert description.endswith("."), f"{key} wants a description that is a sentence"
    assert any(line.startswith(f"| `{key}` |") and description in line for line in PAGE.read_text().splitlines())


@pytest.mark.parametrize("key", RETIRED)
def test_every_setting_that_has_gone_is_listed(key: str) -> None:
    assert f"| `{key}` | {RETIRED[key]} |" in PAGE.read_text()
