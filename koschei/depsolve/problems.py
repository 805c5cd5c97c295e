"""Why nothing can be installed, in sentences for packagers: the form people know from dnf and from today's Koschei."""

from __future__ import annotations

from typing import Any

import solv

CONFLICTING = "conflicting requests"
UNEXPLAINED = f"Problem: {CONFLICTING}"
INCLUDE_JOBS = 1


def not_found(text: str) -> str:
    return f"No package found for: {text}"


def malformed(text: str, reason: object) -> str:
    shown = text if len(text) <= 200 else f"{text[:200]}..."
    return f"Malformed BuildRequires: {shown!r}: {reason}"


def describe(problem: Any, key: str) -> str:
    """One libsolv problem of request `key`: `Problem: a`, then a line ` - b` for each further rule that takes part."""
    sentences: list[str] = []
    for rule in problem.findallproblemrules(INCLUDE_JOBS):
        for info in rule.allinfos():
            sentence = describe_rule(info, key)
            if sentence not in sentences:
                sentences.append(sentence)
    return "Problem: " + "\n - ".join(sentences or [CONFLICTING])


def describe_rule(info: Any, key: str) -> str:
    if info.type == solv.Solver.SOLVER_RULE_JOB_NOTHING_PROVIDES_DEP:
        return f"nothing provides {info.dep.str()} needed by {key}.src"
    if info.type == solv.Solver.SOLVER_RULE_JOB:
        return CONFLICTING
    return str(info.problemstr())
