"""When an answer is too bad to be believed."""

from __future__ import annotations

FEW = 10
SHARE = 0.05


def plausible_loss(lost: int, known: int) -> bool:
    """Whether that many of the known things may have vanished from a list at once.

    A few may, but never all. More than a twentieth points to an empty or truncated answer of Koji, on which
    nothing wholesale is to be done.
    """
    if not lost:
        return True
    return lost < known and lost <= max(FEW, known * SHARE)
