"""The ground that koschei.css stands on: Bootstrap's Reboot, taken from the package that carries Bootstrap.

Bootstrap's rules with a class are components; those without, which come first, are Reboot: they make browsers agree on
what elements look like. We want only these (docs/adr/0014), and no file of their own has them in any package.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

SHEET = "static/bootstrap5/css/bootstrap.min.css"
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
QUOTED = r'"(?:[^"\\]|\\.)*"' r"|'(?:[^'\\]|\\.)*'"
# A quoted text, or a character that means something to us.
MARKS = re.compile(rf"{QUOTED}|[{{}}(),]")
COMPONENT = re.compile(r"\.[a-zA-Z]|\[data-bs-")
PROPERTY = re.compile(rf"(--[\w-]+):(?:{QUOTED}|[^;}}\"'])*;?")
USED = re.compile(r"var\((--[\w-]+)")


@cache
def base() -> str:
    """Reboot with its licence, and the colours and sizes that it names."""
    sheet = files("flask_bootstrap").joinpath(SHEET).read_text("utf-8")
    licence = COMMENT.search(sheet)
    text = _without_components(COMMENT.sub("", sheet))
    while (leaner := _without_unused(text)) != text:
        text = leaner
    return (licence[0] + "\n" if licence else "") + text


def _without_components(sheet: str) -> str:
    """The rules whose selectors name no class."""
    kept = []
    for head, body in _blocks(sheet):
        if head.startswith("@media"):
            inner = _without_components(body)
            kept.append(f"{head}{{{inner}}}" if inner else "")
        elif not head.startswith("@"):
            selectors = [one for one in _parts(head) if not COMPONENT.search(one)]
            kept.append(f"{','.join(selectors)}{{{body}}}" if selectors else "")
    return "".join(kept)


def _without_unused(sheet: str) -> str:
    """Without custom properties that no rule asks for, and rules that are empty then."""
    used = set(USED.findall(sheet))
    lean = PROPERTY.sub(lambda match: match[0] if match[1] in used else "", sheet)
    return re.sub(r"[^{}]+\{\}", "", lean)


def _blocks(sheet: str) -> Iterator[tuple[str, str]]:
    """What stands before each pair of outermost braces, and between them."""
    depth, start, head = 0, 0, ""
    for mark in MARKS.finditer(sheet):
        if mark[0] == "{":
            depth += 1
            if depth == 1:
                head, start = sheet[start : mark.start()].rpartition(";")[2].strip(), mark.end()
        elif mark[0] == "}":
            depth -= 1
            if depth == 0:
                yield head, sheet[start : mark.start()]
                start = mark.end()


def _parts(selectors: str) -> Iterator[str]:
    """The selectors of a list; commas within parentheses belong to one."""
    depth, start = 0, 0
    for mark in MARKS.finditer(selectors):
        depth += {"(": 1, ")": -1}.get(mark[0], 0)
        if mark[0] == "," and depth == 0:
            yield selectors[start : mark.start()]
            start = mark.end()
    yield selectors[start:]
