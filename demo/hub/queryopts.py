"""Koji's `queryOpts`: order, offset, limit and countOnly over a list of rows."""

from __future__ import annotations

from typing import Any

import koji

Row = dict[str, Any]


def apply(rows: list[Row], opts: dict[str, Any] | None, aliases: dict[str, str] | None = None) -> Any:
    """The rows as asked for, or their number. order: 'a,-b'; a key that rows do not have is fault 1019."""
    opts = opts or {}
    if opts.get("countOnly"):
        return len(rows[opts.get("offset") or 0 :][: opts.get("limit")])
    for key in reversed((opts.get("order") or "").split(",")):
        if key:
            rows = _ordered(rows, key.lstrip("-"), key.startswith("-"), aliases or {})
    rows = rows[opts.get("offset") or 0 :]
    return rows if opts.get("limit") is None else rows[: opts["limit"]]


def _ordered(rows: list[Row], key: str, descending: bool, aliases: dict[str, str]) -> list[Row]:
    field = aliases.get(key, key)
    if rows and field not in rows[0]:
        raise koji.ParameterError(f"Invalid order: {key}")
    # NULL sorts as the largest value, as PostgreSQL has it.
    return sorted(
        rows, key=lambda row: (row[field] is None, row[field] if row[field] is not None else 0), reverse=descending
    )
