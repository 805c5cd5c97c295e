"""Which metrics and labels a PromQL expression names. Not a parser: enough to see a name that does not exist."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*")
      | (?P<range>\[[^\]]*\])
      | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
      | (?P<number>[0-9]+(?:\.[0-9]+)?[a-z]*)
      | (?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^><=(){},])""",
    re.VERBOSE,
)
FUNCTIONS = {"absent", "count", "increase", "max", "min", "rate", "sum", "time"}
GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
OPERATORS = {"and", "or", "unless", "bool"}
RANGE = re.compile(r"\[([0-9]+(ms|[smhdwy]))+\]")


class NotUnderstoodError(ValueError):
    """The expression has something in it that is not PromQL, or that this module does not know."""


@dataclass
class Names:
    """What an expression names: labels by the metric they select; those of groupings stand under the empty name."""

    metrics: set[str] = field(default_factory=set)
    labels: dict[str, set[str]] = field(default_factory=dict)

    def label(self, metric: str, name: str) -> None:
        """Note a label."""
        self.labels.setdefault(metric, set()).add(name)


def names(expression: str) -> Names:
    """The metrics and labels in an expression. Errors: NotUnderstoodError."""
    found, tokens = Names(), _tokens(expression)
    place, open_signs, metric = 0, [], ""
    while place < len(tokens):
        kind, text = tokens[place]
        following = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        if kind == "name" and text in GROUPING and following == "(":
            end = tokens.index(("sign", ")"), place)
            for inner_kind, inner in tokens[place + 2 : end]:
                if inner_kind == "name":
                    found.label("", inner)
            place = end + 1
            continue
        if kind == "name" and open_signs and open_signs[-1] == "{":
            if following not in ("=", "!=", "=~", "!~"):
                raise NotUnderstoodError(f"{text!r} in braces is compared with nothing: {expression}")
            found.label(metric, text)
        elif kind == "name" and (text in FUNCTIONS and following in ("(", "by", "without")):
            pass
        elif kind == "name" and following == "(":
            raise NotUnderstoodError(f"{text}() is not a function known here: {expression}")
        elif kind == "name" and text not in OPERATORS:
            metric = text
            found.metrics.add(text)
        elif kind == "range" and not RANGE.fullmatch(text):
            raise NotUnderstoodError(f"{text} is not a range: {expression}")
        elif text in "({":
            open_signs.append(text)
        elif text in ")}" and (not open_signs or open_signs.pop() + text not in ("()", "{}")):
            raise NotUnderstoodError(f"a {text} closes nothing: {expression}")
        place += 1
    if open_signs:
        raise NotUnderstoodError(f"a {open_signs[-1]} is not closed: {expression}")
    return found


def _tokens(expression: str) -> list[tuple[str, str]]:
    tokens, place = [], 0
    for match in TOKEN.finditer(expression):
        if expression[place : match.start()].strip():
            break
        assert match.lastgroup is not None
        tokens.append((match.lastgroup, match[0]))
        place = match.end()
    if expression[place:].strip():
        raise NotUnderstoodError(f"cannot read {expression[place:].strip()!r} in {expression}")
    return tokens
