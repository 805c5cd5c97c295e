"""What is wrong with the settings, one line each: where, which key, what is expected, what was found."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from koschei.config import describe
from koschei.config.retired import why_retired
from koschei.errors import ConfigError


def as_error(lines: Iterable[str]) -> ConfigError:
    """One error for all problems."""
    found = list(dict.fromkeys(lines))
    if len(found) == 1:
        return ConfigError(found[0])
    return ConfigError("\n  ".join([f"{len(found)} problems with the settings:", *found]))


def explain(error: ValidationError, source_of: Callable[[Sequence[str]], str]) -> list[str]:
    """The problems that validation found; `source_of` tells which file or variable a key comes from."""
    details = error.errors(include_url=False)
    return [f"{source_of(_names(detail))}: {_explain(detail)}" for detail in details]


def _names(detail: ErrorDetails) -> tuple[str, ...]:
    return tuple(part for part in detail["loc"] if isinstance(part, str))


def _dotted(detail: ErrorDetails) -> str:
    text = ""
    for part in detail["loc"]:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _explain(detail: ErrorDetails) -> str:
    key = _names(detail)
    if detail["type"] == "extra_forbidden":
        return f"{_dotted(detail)}: {_unknown(key)}"
    if detail["type"] == "value_error":
        return f"{_dotted(detail)}: {detail['ctx']['error']}"
    target, rest = describe.find(key)
    if not isinstance(target, FieldInfo):
        expected = "a table"
    elif rest or len(key) < len(detail["loc"]):
        expected = "text"  # all lists are of texts, and so are all closed kinds of free tables
    else:
        expected = describe.expectation(describe.annotation_of(target))
    return f"{_dotted(detail)}: expected {expected}, found {_found(detail['input'], target, rest)}"


def _found(value: Any, target: object, rest: Sequence[str]) -> str:
    kind = describe.kind_of(value)
    if isinstance(target, FieldInfo) and describe.is_secret(target):
        return f"{kind} (not shown)"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{kind}: {value!r}" if isinstance(value, str | int | float) else kind


def _unknown(key: Sequence[str]) -> str:
    """What to say of a key that is not a setting."""
    *table, name = key
    section, _ = describe.find(table)
    siblings = (
        {sibling.lower(): sibling for sibling in describe.fields_of(section)} if isinstance(section, type) else {}
    )
    very_close = difflib.get_close_matches(name.lower(), siblings, n=1, cutoff=0.85)
    if not very_close and (reason := why_retired(key)):
        return f"is no setting any more: {reason}"
    if close := very_close or difflib.get_close_matches(name.lower(), siblings, n=1, cutoff=0.6):
        return f"is not a setting; did you mean {'.'.join([*table, siblings[close[0]]])}?"
    if elsewhere := [".".join(other) for other, _ in describe.walk() if other[-1] == name]:
        return f"is not a setting; did you mean {' or '.join(elsewhere[:3])}?"
    return f"is not a setting; {'.'.join(table) or 'the top level'} has {', '.join(siblings.values())}"
