"""How values are written: times, durations, numbers, versions. Everything here is pure but for `install`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flask import Flask
from markupsafe import Markup, escape

from frontend import context
from koschei.rules import evr

MINUTE, HOUR, DAY = 60, 3600, 86400
# (below this many seconds, the unit's seconds, its name); relative times are rounded down.
UNITS = (
    (HOUR, MINUTE, "minute"),
    (DAY, HOUR, "hour"),
    (30 * DAY, DAY, "day"),
    (365 * DAY, 30 * DAY, "month"),
    (float("inf"), 365 * DAY, "year"),
)


def relative(moment: datetime, now: datetime) -> str:
    """`4 minutes ago`, `in 3 hours`, `just now`; koschei.js says the same."""
    seconds = (now - moment).total_seconds()
    past, distance = seconds >= 0, abs(seconds)
    if distance < MINUTE:
        return "just now" if past else "in a moment"
    size, name = next((size, name) for limit, size, name in UNITS if distance < limit)
    count = int(distance // size)
    text = f"{count} {name}{'' if count == 1 else 's'}"
    return f"{text} ago" if past else f"in {text}"


def exact(moment: datetime) -> str:
    """The moment to the second, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def when(moment: datetime | None, now: datetime, where: str = "") -> Markup:
    """A relative time that tells its exact moment, and of which collection it is where that is not plain."""
    if moment is None:
        return Markup('<span class="none">never</span>')
    day, time = moment.astimezone(UTC).isoformat(" ", "seconds").removesuffix("+00:00").split()
    title = f"{day} {time} UTC in {escape(where)}" if where else f"{day} {time} UTC"
    words = f'<time datetime="{day}T{time}Z" title="{title}">{relative(moment, now)}</time>'
    return Markup(words)  # noqa: S704 - a list has hundreds of them, and nothing else in them can need escaping


def duration(value: timedelta | None) -> str:
    """`45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    if value is None:
        return "–"
    seconds = max(0, int(value.total_seconds()))
    if seconds < 2 * MINUTE:
        return f"{seconds} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE} min"
    if seconds < DAY:
        hours, rest = divmod(seconds, HOUR)
        return f"{hours} h {rest // MINUTE} min" if rest >= MINUTE else f"{hours} h"
    days, rest = divmod(seconds, DAY)
    return f"{days} d {rest // HOUR} h" if rest >= HOUR else f"{days} d"


def number(value: float) -> str:
    """With thin spaces between thousands, rounded to whole."""
    return f"{value:,.0f}".replace(",", "\u202f").replace("-", "−")


def signed(value: float) -> str:
    """A difference, with its sign; 0 without."""
    return f"+{number(value)}" if round(value) > 0 else number(round(value))


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 package`, `2 packages`."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def version(value: evr.HasEvr) -> str:
    """The version of whatever has one."""
    return evr.display(value.epoch, value.version, value.release)


def differing(value: evr.HasEvr, other: evr.HasEvr | None) -> Markup:
    """A version, with what differs from the other one in bold."""
    text = version(value)
    if other is None:
        return escape(text)
    common, rest = evr.differing_part(text, version(other))
    return Markup("{}<b>{}</b>").format(common, rest) if rest else escape(text)


def install(app: Flask) -> None:
    """Make them known to templates."""
    plain = (duration, number, signed, plural, version, differing, exact)
    app.jinja_env.filters.update({function.__name__: function for function in plain})
    app.jinja_env.filters["when"] = lambda moment, where="": when(moment, context.now(), where)
