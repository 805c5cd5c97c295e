"""Reading Koji's answers, which are hostile until checked: each value is taken out by its type or refused.

A refusal is a KojiOutage that names method, field and what was found: a hub that sends such things is not working.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, TypeVar

from koschei.errors import KojiOutage
from koschei.rules.ids import LARGEST_ID

T = TypeVar("T")
E = TypeVar("E", bound=IntEnum)


def nonsense(method: str, what: str, found: object) -> KojiOutage:
    """The error for an answer to `method` in which `what` should not be `found`."""
    return KojiOutage(f"Koji answered {method} with nonsense: {what} is {found!r:.100}")


def rows(method: str, answer: object, read: Callable[[object], T]) -> list[T]:
    """The elements of an answer that must be a list, each read by `read`."""
    if not isinstance(answer, list):
        raise nonsense(method, "the answer, which should be a list,", answer)
    return [read(row) for row in answer]


def number(method: str, answer: object, what: str = "the answer") -> int:
    """An id or another whole number that is not negative."""
    if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer <= LARGEST_ID:
        raise nonsense(method, what, answer)
    return answer


class Row:
    """A struct in the answer to `method`."""

    def __init__(self, method: str, answer: object) -> None:
        if not isinstance(answer, dict):
            raise nonsense(method, "a record, which should be a struct,", answer)
        self._method = method
        self._fields: dict[str, Any] = answer

    def number(self, field: str) -> int:
        return number(self._method, self._fields.get(field), field)

    def number_or_none(self, field: str) -> int | None:
        return None if self._fields.get(field) is None else self.number(field)

    def flags(self, field: str) -> int:
        """A whole number of any sign: RPM's flags are sometimes taken for signed ones."""
        value = self._fields.get(field)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(field)
        return value

    def amount(self, field: str) -> float:
        """A number of any kind, at least 0; null counts as 0."""
        value = self._fields.get(field)
        if value is None:
            return 0.0
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise self._wrong(field)
        return float(value)

    def text(self, field: str) -> str:
        """A text that is not empty."""
        value = self._fields.get(field)
        if not isinstance(value, str) or not value:
            raise self._wrong(field)
        return value

    def text_or_empty(self, field: str) -> str:
        """A text; null and a missing field count as empty."""
        return self.text(field) if self._fields.get(field) not in (None, "") else ""

    def flag(self, field: str) -> bool:
        """A truth value; null and a missing field count as false."""
        value = self._fields.get(field)
        if value not in (None, True, False):
            raise self._wrong(field)
        return bool(value)

    def state(self, field: str, states: type[E]) -> E:
        try:
            return states(self.number(field))
        except ValueError:
            raise self._wrong(field) from None

    def texts(self, field: str) -> tuple[str, ...]:
        """A list of texts; null and a missing field count as empty."""
        value = self._fields.get(field)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise self._wrong(field)
        return tuple(value)

    def words(self, field: str) -> tuple[str, ...]:
        """The words of a text; null counts as none."""
        return tuple(self.text_or_empty(field).split())

    def list_or_none(self, field: str) -> tuple[Any, ...] | None:
        """A list of anything, or None where there is none."""
        value = self._fields.get(field)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self._wrong(field)
        return tuple(value)

    def moment(self, stem: str) -> datetime:
        value = self.moment_or_none(stem)
        if value is None:
            raise self._wrong(f"{stem}_time")
        return value

    def moment_or_none(self, stem: str) -> datetime | None:
        """The time in `<stem>_ts` (seconds since 1970) or else in `<stem>_time` (text, without offset UTC)."""
        try:
            seconds = self._fields.get(f"{stem}_ts")
            if isinstance(seconds, int | float) and not isinstance(seconds, bool):
                return datetime.fromtimestamp(seconds, UTC)
            text = self._fields.get(f"{stem}_time")
            if text is None:
                return None
            moment = datetime.fromisoformat(text)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (ValueError, OverflowError, OSError, TypeError):
            raise self._wrong(f"{stem}_time") from None

    def _wrong(self, field: str) -> KojiOutage:
        return nonsense(self._method, field, self._fields.get(field))
