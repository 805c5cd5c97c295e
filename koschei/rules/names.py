"""Names and texts that people type: what cannot be one, how a strange one is shown, and what was probably meant."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Collection, Iterable

LONGEST_NAME = 200
LONGEST_TEXT = 4000
ALIKE = 0.6
SUGGESTED = 3
SHOWN = 60


def flaw(text: str, *, longest: int = LONGEST_TEXT, lines: bool = False) -> str | None:
    """What is wrong with a text that people will read, in words that follow its name; None when nothing is.

    `lines`: it may have several lines.
    """
    if not text.strip():
        return "is empty"
    if len(text) > longest:
        return f"has {len(text)} characters, but may have {longest}"
    wrong = next((c for c in text if unicodedata.category(c) in ("Cc", "Cs") and not (lines and c in "\n\t")), None)
    return None if wrong is None else f"has a character that cannot be shown: {wrong!r}"


def shown(name: str) -> str:
    """A name as messages show it: in quotes if it is empty or has strange characters, and never long."""
    return _cut(name) if name and name.isprintable() and " " not in name else quoted(name)


def quoted(name: str) -> str:
    """A name in quotes, and never long."""
    return repr(_cut(name))


def _cut(name: str) -> str:
    return name if len(name) <= SHOWN else f"{name[: SHOWN - 3]}..."


def listed(names: Iterable[str], most: int = 20) -> str:
    """Names as messages list them: so many of them, and how many more."""
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(map(shown, every[:most])) + more


def suggestion(name: str, known: Collection[str], otherwise: str = "") -> str:
    """`Did you mean ...?` when known names look like this one, else the other words."""
    alike = [] if len(name) > LONGEST_NAME else difflib.get_close_matches(name, known, n=SUGGESTED, cutoff=ALIKE)
    return f"Did you mean {' or '.join(alike)}?" if alike else otherwise
