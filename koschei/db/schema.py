"""The schema's revisions: upgrade, downgrade, and whether the database is the one this code needs."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from koschei.db.engine import translated

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


def alembic_config(url: str) -> AlembicConfig:
    """Alembic's configuration for the migrations of this code."""
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    return config


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database to `revision`, also from nothing. Safe to repeat and to run twice at once."""
    with translated():
        command.upgrade(alembic_config(url), revision)


def downgrade(url: str, revision: str) -> None:
    """Take the database back to `revision` ("base": nothing left)."""
    with translated():
        command.downgrade(alembic_config(url), revision)


def head() -> str:
    """The revision this code needs."""
    found = ScriptDirectory.from_config(alembic_config("")).get_current_head()
    if found is None:
        raise RuntimeError(f"no migrations in {MIGRATIONS}: the installation is incomplete")
    return found


def current(url: str) -> str | None:
    """The revision the database is at; None when it is empty."""
    engine = create_engine(url, poolclass=NullPool)
    with translated(), engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()
