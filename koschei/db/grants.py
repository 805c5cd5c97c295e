"""Rights of the role that the services connect as, when another one owns the tables."""

from __future__ import annotations

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from koschei.db.engine import translated
from koschei.errors import ConfigError


def grant(url: str, role: str) -> None:
    """Let `role` read and write all rows, and change no table. Safe to repeat; needed again after each new table.

    Raises ConfigError when the server has no such role, DatabaseError when it is away.
    """
    engine = create_engine(url, poolclass=NullPool)
    with translated(), engine.begin() as connection:
        if connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}).first() is None:
            raise ConfigError(
                f"unpriv_db_username: PostgreSQL has no role {role!r}: make it (CREATE ROLE ... LOGIN), or unset this"
            )
        name = engine.dialect.identifier_preparer.quote(role)
        for statement in (
            f"GRANT USAGE ON SCHEMA public TO {name}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}",
            f"GRANT SELECT, USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}",
        ):
            connection.exec_driver_sql(statement)


def granted(url: str, role: str) -> bool:
    """Whether `role` may read and write every table."""
    engine = create_engine(url, poolclass=NullPool)
    query = text("""
        SELECT coalesce(bool_and(has_table_privilege(r.oid, c.oid, p.word)), false)
        FROM pg_roles AS r, pg_class AS c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p(word)
        WHERE r.rolname = :role AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    """)
    with translated(), engine.connect() as connection:
        return bool(connection.execute(query, {"role": role}).scalar_one())
