"""The markup of announcements: addresses and `[words](https://…)` become links, and everything else stays text."""

from __future__ import annotations

import re

from flask import Flask
from markupsafe import Markup, escape

# What an address of the web is made of, without what would end the markup around it; brackets come in pairs.
LETTER = r"[^\s<>\"'`\\^{|}\[\]()\x00-\x20\x7f]"
ADDRESS = rf"https?://{LETTER}+(?:\({LETTER}*\){LETTER}*)*"
LINK = re.compile(rf"\[(?P<words>[^\[\]\n]+)\]\((?P<target>{ADDRESS})\)|(?<![\w/])(?P<bare>{ADDRESS})")
# What ends a sentence belongs to it, and not to the address before it.
ENDING = ".,;:!?…*_~"
LONGEST = 2000
ANCHOR = Markup('<a href="{}" rel="noopener nofollow">{}</a>')


def notice_markup(text: str) -> Markup:
    """The text with its links, escaped; what is no link of these two kinds stands there as it was written."""
    parts: list[Markup] = []
    position = 0
    for match in LINK.finditer(text):
        bare = match["bare"]
        target = bare.rstrip(ENDING) if bare else match["target"]
        if len(target) > LONGEST or target in ("http://", "https://"):
            continue
        parts += [escape(text[position : match.start()]), ANCHOR.format(target, target if bare else match["words"])]
        position = match.start() + len(target) if bare else match.end()
    return Markup("").join([*parts, escape(text[position:])])


def install(app: Flask) -> None:
    """Make it known to templates."""
    app.jinja_env.filters["notice_markup"] = notice_markup
