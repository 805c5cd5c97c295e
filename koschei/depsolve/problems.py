"""Why nothing can be installed, in sentences for packagers: the form people know from dnf and from today's Koschei."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import solv

CONFLICTING = "conflicting requests"


def not_found(text: str) -> str:
    return f"No package found for: {text}"


def malformed(text: str, reason: object) -> str:
    shown = text if len(text) <= 200 else f"{text[:200]}..."
    return f"Malformed BuildRequires: {shown!r}: {reason}"


def describe(problem: Any, source_id: int) -> str:
    """One libsolv problem: `Problem: a` and a line ` - b` for each further rule that takes part in it."""
    sentences: list[str] = []
    for rule in problem.findallproblemrules():
        for info in rule.allinfos():
            sentence = describe_rule(info, source_id)
            if sentence not in sentences:
                sentences.append(sentence)
    return "Problem: " + "\n - ".join(sentences or [CONFLICTING])


def describe_rule(info: Any, source_id: int) -> str:
    """The source package is our device: that it requires what was asked for is the request itself."""
    requires = info.type == solv.Solver.SOLVER_RULE_PKG_REQUIRES
    if requires and info.solvable is not None and info.solvable.id == source_id and not info.dep.str().startswith("("):
        return CONFLICTING
    return str(info.problemstr())


def in_order(problems: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(problems)))
