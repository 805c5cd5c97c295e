"""When an answer is too bad to be believed."""

from __future__ import annotations

FEW = 10
SHARE = 0.05
NAMED = 5
"""How many of the things that a list lacks are named when it is not believed."""


def plausible_loss(lost: int, known: int) -> bool:
    """Whether that many of the known things may have vanished from a list at once.

    A few may, but never all. More than a twentieth points to an empty or truncated answer of Koji, on which
    nothing wholesale is to be done.
    """
    if not lost:
        return True
    return lost < known and lost <= max(FEW, known * SHARE)


def way_out(collection: str) -> str:
    """What to do about a list of a collection that is not believed although it is true."""
    command = f"koschei-admin reconcile -c {collection} --believe"
    return f"If they are really gone, `{command}` has it believed; `{command} --dry-run` shows what that changes"
