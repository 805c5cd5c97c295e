"""What can be checked without PostgreSQL and Koji, as the building of the image does."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from admin.main import cli
from koschei import selfcheck
from koschei.db import schema


def test_what_is_installed_here_is_checked_without_settings_or_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOSCHEI_CONFIG", "/nowhere")
    done = CliRunner().invoke(cli, ["selfcheck", "--local"], standalone_mode=False)
    assert done.exception is None, done.output
    assert "ok      solver: " in done.output
    assert "server" not in done.output
    assert "koji" not in done.output


def test_an_installation_without_its_migrations_is_not_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "versions").mkdir()
    monkeypatch.setattr(schema, "MIGRATIONS", tmp_path)
    well = {check.name: check.well for check in selfcheck.local_checks()}
    assert well["migrations"] is False
