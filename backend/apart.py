"""Pieces of work done apart: what one of them raises is reported, and the others go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from backend.frame import PassReport
from koschei.errors import KoscheiError

log = structlog.get_logger(__name__)

LONGEST_TEXT = 300
REMEMBERED = 1000

_logged: set[str] = set()


@contextmanager
def apart(report: PassReport, what: str) -> Iterator[None]:
    """Work on one thing among others. Its error goes into the report; a mistake of ours is logged once with its place.

    One collection, package or build must never stop the others, whatever is the matter with it.
    """
    try:
        yield
    except KoscheiError as error:
        report.errors.append(f"{what}: {error}")
    except Exception as error:  # whatever it is, the others have a right to their turn
        lines = str(error).splitlines() or [""]
        text = f"{what}: {type(error).__name__}: {lines[0][:LONGEST_TEXT]}"
        if text not in _logged:
            if len(_logged) >= REMEMBERED:
                _logged.clear()
            _logged.add(text)
            log.exception("a part of the work failed by a mistake of ours; the rest goes on", part=what)
        report.errors.append(text)
