"""What a pre-deploy revision may do, as far as its SQL shows: what code that does not know it certainly lives with.

It is a list of what is allowed, not of what is forbidden: anything else is named, and the revision must say in
`harmless = {"beginning of the statement": "why older code lives with it"}` why it is so. `make test-upgrade` is the
proof; this only makes one think.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from alembic import command
from alembic.script import Script

from koschei.db import schema
from koschei.db.migrator import RECORD

# Strings, quoted names, function bodies and comments: a semicolon in them ends no statement.
TOKEN = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/|;", re.DOTALL)
NAME = r'(?:ONLY )?("?[\w]+"?)'
CREATE_TABLE = re.compile(rf"CREATE TABLE (?:IF NOT EXISTS )?{NAME}", re.IGNORECASE)
CREATE_INDEX = re.compile(rf"CREATE (UNIQUE )?INDEX (CONCURRENTLY )?(?:IF NOT EXISTS )?\S+ ON {NAME}", re.IGNORECASE)
ALTER_TABLE = re.compile(rf"ALTER TABLE (?:IF EXISTS )?{NAME} (.*)", re.IGNORECASE | re.DOTALL)
WRITE = re.compile(rf"(?:INSERT INTO|UPDATE|DELETE FROM|COPY) {NAME}", re.IGNORECASE)
ALWAYS = re.compile(r"(CREATE (SEQUENCE|TYPE)|COMMENT ON|GRANT|SET|RESET) ", re.IGNORECASE)
# Alembic's own, and ours.
OWN = re.compile(
    rf"(BEGIN|COMMIT)$|(INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE( IF NOT EXISTS)?) "
    rf"(alembic_version|{RECORD.name})\b",
    re.IGNORECASE,
)
ADD_COLUMN = re.compile(
    r"ADD (COLUMN )?(IF NOT EXISTS )?(?!CONSTRAINT|UNIQUE|CHECK|PRIMARY|FOREIGN|EXCLUDE)", re.IGNORECASE
)
# With any other default PostgreSQL computes a value for each row: it rewrites the table while everybody waits.
CHEAP_DEFAULT = re.compile(
    r"DEFAULT (?:'(?:[^']|'')*'(?:::[\w ]+)?|-?[\d.]+|true|false|null|now\(\)|current_timestamp)(?=\s|$)", re.IGNORECASE
)


@dataclass(frozen=True)
class Doubt:
    """A statement that older code may not live with, and why."""

    statement: str
    reason: str


def statements(script: Script) -> list[str]:
    """What a revision would run, one statement each, in single spaces; without alembic's own."""
    config = schema.alembic_config("postgresql+psycopg2://")
    config.output_buffer = io.StringIO()
    command.upgrade(config, f"{script.down_revision or 'base'}:{script.revision}", sql=True)
    return [one for one in split(config.output_buffer.getvalue()) if not OWN.match(one)]


def split(sql: str) -> Iterator[str]:
    """The statements of a script, without comments and superfluous space."""
    begin, text = 0, ""
    for token in TOKEN.finditer(sql):
        if token[0] == ";":
            yield from _tidy(text + sql[begin : token.start()])
            begin, text = token.end(), ""
        elif token[0].startswith(("--", "/*")):
            text, begin = text + sql[begin : token.start()] + " ", token.end()
    yield from _tidy(text + sql[begin:])


def _tidy(statement: str) -> Iterator[str]:
    if words := " ".join(statement.split()):
        yield words


def doubts(found: list[str], harmless: Mapping[str, str] | None = None) -> list[Doubt]:
    """The statements that are not certainly harmless, but for those that the revision answers for."""
    new_tables: set[str] = set()
    result = []
    for statement in found:
        reason = _objection(statement, new_tables)
        if reason is not None and not statement.startswith(tuple(harmless or ())):
            result.append(Doubt(statement, reason))
    return result


def _objection(statement: str, new_tables: set[str]) -> str | None:
    """Why older code may not live with a statement; `new_tables` are those made so far, which no older code knows."""
    if match := CREATE_TABLE.match(statement):
        new_tables.add(match[1])
        return None
    if ALWAYS.match(statement):
        return None
    if match := CREATE_INDEX.match(statement):
        if match[3] in new_tables:
            return None
        if match[1]:
            return "older code may write what is not unique"
        return None if match[2] else "nobody can write while the index is made: use index_concurrently"
    if match := ALTER_TABLE.match(statement):
        return None if match[1] in new_tables else _objection_to_change(match[2])
    if match := WRITE.match(statement):
        return None if match[1] in new_tables else "it changes rows that older code works with"
    return "it is not known to be harmless"


def _objection_to_change(change: str) -> str | None:
    change = re.sub(r"'(?:[^']|'')*'", "''", change)
    if re.match(r"VALIDATE CONSTRAINT ", change, re.IGNORECASE):
        return None
    if not ADD_COLUMN.match(change) or re.search(r",\s*(ADD|DROP|ALTER|RENAME)\b", change, re.IGNORECASE):
        return "it changes a table that older code works with (one column is added in one statement)"
    if re.search(r"\b(UNIQUE|CHECK|REFERENCES|PRIMARY KEY|GENERATED)\b", change, re.IGNORECASE):
        return "rows that older code writes may not fit, or the table is rewritten"
    default = re.search(r"\bDEFAULT\b", change, re.IGNORECASE)
    if default and not CHEAP_DEFAULT.search(change):
        return "the default is not a constant, so that the whole table may be rewritten"
    if re.search(r"\bNOT NULL\b", change, re.IGNORECASE) and not default:
        return "older code does not fill the column"
    return None
