"""The kinds of values in requests: each says in the OpenAPI document exactly what is accepted."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

LONGEST_NAME = 200
NAME_PATTERN = r"^\.*[a-zA-Z0-9+_-][a-zA-Z0-9.+_-]*$"
GROUP_PATTERN = r"^[a-zA-Z0-9.+_-]+(/[a-zA-Z0-9.+_-]+)?$"
PATTERN_PATTERN = r"^[a-zA-Z0-9.+_*-]+$"
CURSOR_PATTERN = r"^[A-Za-z0-9_-]+$"
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})")
NUMBER = re.compile(r"-?[0-9]{1,19}")


def _moment(value: Any) -> Any:
    if isinstance(value, str) and not MOMENT.fullmatch(value):
        raise ValueError("expected a time like 2026-11-22T12:00:00Z (a + before the zone is written %2B)")
    return value


def utc(value: datetime) -> datetime:
    """The same moment in UTC, which PostgreSQL takes whatever the zone was; at the ends of time the nearest one."""
    try:
        return value.astimezone(UTC)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC) if value.year == 1 else datetime.max.replace(tzinfo=UTC)


def _number(value: Any) -> Any:
    if isinstance(value, str) and not NUMBER.fullmatch(value):
        raise ValueError("expected a whole number")
    # For JSON, 1.0 is as whole as 1.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _flag(value: Any) -> Any:
    if isinstance(value, str):
        if value not in ("true", "false"):
            raise ValueError("expected true or false")
        return value == "true"
    return value


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=LONGEST_NAME)]
GroupName = Annotated[str, StringConstraints(pattern=GROUP_PATTERN, max_length=2 * LONGEST_NAME + 1)]
Pattern = Annotated[str, StringConstraints(pattern=PATTERN_PATTERN, max_length=LONGEST_NAME)]
CursorText = Annotated[str, StringConstraints(pattern=CURSOR_PATTERN, max_length=2000)]
Moment = Annotated[datetime, BeforeValidator(_moment), AfterValidator(utc)]
Flag = Annotated[bool, BeforeValidator(_flag)]
WHOLE = BeforeValidator(_number)
"""Behind the bounds of a number: spellings that only Python takes for one are refused."""


class Query(BaseModel):
    """The parameters behind the question mark; others are refused, so that a mistyped filter does not select all."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Paged(Query):
    """The parameters of a list."""

    limit: Annotated[int, Field(ge=1, le=500, description="The most items on a page."), WHOLE] = 100
    cursor: Annotated[
        CursorText | None,
        Field(description="Where the page begins: from the `next` of the page before; nothing else makes sense."),
    ] = None


class Body(BaseModel):
    """What a request carries; unknown members are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Answer(BaseModel):
    """What is answered."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class Page(Answer):
    """A page of a list."""

    next: str | None = Field(description="The address of the next page; null on the last one.")
