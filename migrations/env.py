"""Runs the revisions: one migrator at a time, in one transaction, never waiting long for a lock that readers hold."""

from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from koschei.db.locks import LockSpace
from koschei.db.types import IntEnumType, StrEnumType, UtcDateTime
from koschei.model import Base


def database_url() -> str:
    """The address given by the caller (koschei.db.schema), else that of the configuration."""
    given = context.config.attributes.get("url")
    if given:
        return given
    from koschei.config import load  # only for people who call alembic by hand

    return load().database_url()


def render_item(kind: str, item: object, autogen_context: object) -> str | bool:
    """New revisions name PostgreSQL's types: they must go on working when ours change."""
    if kind == "type":
        for ours, plain in (
            (UtcDateTime, "sa.DateTime(timezone=True)"),
            (StrEnumType, "sa.Text()"),
            (IntEnumType, "sa.SmallInteger()"),
        ):
            if isinstance(item, ours):
                return plain
    return False


def run_offline() -> None:
    """Print the SQL in place of running it (`alembic upgrade head --sql`)."""
    context.configure(url=database_url(), target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    """Upgrade or downgrade the database."""
    engine = create_engine(database_url(), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:space, 0)"), {"space": int(LockSpace.SCHEMA)})
        connection.execute(text("SET LOCAL lock_timeout = '30s'"))
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            compare_server_default=True,
            render_item=render_item,
        )
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
