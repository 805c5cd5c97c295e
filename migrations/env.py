"""Runs the revisions: one migrator at a time, each revision in a transaction, never waiting long for a lock."""

from alembic import context

from koschei.db import migrator
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
    context.configure(
        url=database_url(),
        target_metadata=Base.metadata,
        literal_binds=True,
        transaction_per_migration=True,
        on_version_apply=migrator.record,
    )
    context.execute(migrator.MAKE_RECORD)
    context.run_migrations()


def run_online() -> None:
    """Upgrade or downgrade the database: each revision in a transaction of its own, and with it its record."""
    with migrator.engine(database_url()).connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            compare_server_default=True,
            render_item=render_item,
            include_name=migrator.is_ours,
            transaction_per_migration=True,
            on_version_apply=migrator.record,
        )
        if context.get_context().opts.get("dont_mutate"):
            context.run_migrations()
            return
        with migrator.alone(connection):
            connection.execute(migrator.MAKE_RECORD)
            connection.commit()
            context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
