"""Why nothing can be installed, in sentences for packagers: the form people know from dnf and from today's Koschei."""

from __future__ import annotations

from collections.abc import Iterable

CONFLICTING = "conflicting requests"


def not_found(text: str) -> str:
    return f"No package found for: {text}"


def malformed(text: str, reason: object) -> str:
    shown = text if len(text) <= 200 else f"{text[:200]}..."
    return f"Malformed BuildRequires: {shown!r}: {reason}"


def nothing_provides(text: str, key: str) -> str:
    """Said of a BuildRequires of request `key`."""
    return f"nothing provides {text} needed by {key}.src"


def cannot_have(text: str, key: str) -> str:
    """Said of a BuildRequire of request `key` that has providers."""
    return f"package {key}.src requires {text}, but none of the providers can be installed"


def problem(sentences: Iterable[str]) -> str:
    """`Problem: a`, then a line ` - b` for each further sentence that takes part; each is said once."""
    return "Problem: " + "\n - ".join(dict.fromkeys(sentences))


UNEXPLAINED = problem([CONFLICTING])
