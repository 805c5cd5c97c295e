"""What PostgreSQL's errors mean, and what to do about them.

Inside a session they come with a SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html). While one
is being opened they come as text only; its words choose between hints, and a text that says nothing gets the general
one.
"""

from __future__ import annotations

import re

from sqlalchemy.exc import DBAPIError

SETTINGS = "db_url or database_config"
LOST = ("The connection to PostgreSQL was lost", "Try again")
AWAY = ("PostgreSQL does not answer", f"Start it, or correct {SETTINGS}")
FAILED = ("PostgreSQL could not do it", "Try again; its log says more")

BY_STATE = {
    "25006": ("PostgreSQL takes no changes", f"It may be a standby: name the primary in {SETTINGS}"),
    "40": ("Somebody changed the same at the same time", "Try again"),
    "53100": ("PostgreSQL's disk is full", "Make room there; nothing else helps"),
    "53": ("PostgreSQL lacks something", "Its log says more"),
    "55P03": ("Somebody else held the same for too long", "Try again; pg_stat_activity shows who it is"),
    "57014": ("PostgreSQL was told to stop this", "Somebody cancelled it, or statement_timeout is too short"),
    "57P": LOST,
    "08": LOST,
}
"""SQLSTATE, or how it begins (the longest counts): what it means, and what to do."""

BY_WORDS = (
    (
        r"authentication failed|no password supplied|role .* does not exist|no pg_hba\.conf entry|not permitted to log",
        ("PostgreSQL does not let us in", f"Correct the role and its password in {SETTINGS}"),
    ),
    (
        r"database .* does not exist",
        ("PostgreSQL has no such database", f"Create it (createdb), or correct its name in {SETTINGS}"),
    ),
    (
        r"starting up|shutting down|not yet accepting|not accepting",
        ("PostgreSQL is starting or stopping", "Try again in a moment"),
    ),
    (
        r"too many (clients|connections)|connection slots",
        ("PostgreSQL takes no more connections", "Try again, or raise its max_connections"),
    ),
)


def explain(error: DBAPIError) -> str:
    """What is wrong, PostgreSQL's own words, and what to do, in one line."""
    meaning, remedy = _meaning(error)
    return f"{meaning}: {first_line(error)}. {remedy}"


def _meaning(error: DBAPIError) -> tuple[str, str]:
    state = getattr(error.orig, "pgcode", None) or ""
    for length in range(len(state), 1, -1):
        if state[:length] in BY_STATE:
            return BY_STATE[state[:length]]
    if error.connection_invalidated:
        return LOST
    if state:
        return FAILED
    words = first_line(error)
    return next((meaning for pattern, meaning in BY_WORDS if re.search(pattern, words)), AWAY)


def first_line(error: DBAPIError) -> str:
    """What the driver said, without SQL and parameters; of several addresses that were tried, the one that answered."""
    lines = [line.strip() for line in str(error.orig).strip().splitlines()]
    return next((line for line in lines if "FATAL:" in line), lines[0] if lines else type(error.orig).__name__)
