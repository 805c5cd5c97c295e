"""Atom feeds (RFC 4287), made by an XML library from a few values. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

NAMESPACE = "http://www.w3.org/2005/Atom"
MEDIA_TYPE = "application/atom+xml"
# What XML cannot say at all, not even escaped.
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

ET.register_namespace("", NAMESPACE)


@dataclass(frozen=True)
class Entry:
    """Something that happened. `id` is a URI that never changes; `summary` plain text."""

    id: str
    title: str
    link: str
    updated: datetime
    summary: str


@dataclass(frozen=True)
class Feed:
    """A feed with its newest entries first. `link`: the page it tells of; `address`: its own."""

    id: str
    title: str
    link: str
    address: str
    updated: datetime
    entries: Sequence[Entry]


def document(feed: Feed, generator: str) -> bytes:
    """The feed as XML."""
    root = ET.Element(_name("feed"))
    _add(root, "id", feed.id)
    _add(root, "title", feed.title)
    _add(root, "updated", stamp(feed.updated))
    ET.SubElement(root, _name("link"), {"rel": "self", "type": MEDIA_TYPE, "href": feed.address})
    ET.SubElement(root, _name("link"), {"rel": "alternate", "type": "text/html", "href": feed.link})
    _add(root, "generator", generator)
    _add(ET.SubElement(root, _name("author")), "name", "Koschei")
    for entry in feed.entries:
        element = ET.SubElement(root, _name("entry"))
        _add(element, "id", entry.id)
        _add(element, "title", entry.title)
        _add(element, "updated", stamp(entry.updated))
        ET.SubElement(element, _name("link"), {"rel": "alternate", "type": "text/html", "href": entry.link})
        _add(element, "summary", entry.summary)
    result: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return result


def stamp(moment: datetime) -> str:
    """A moment as Atom writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _name(word: str) -> str:
    return f"{{{NAMESPACE}}}{word}"


def _add(parent: ET.Element, word: str, content: str) -> None:
    ET.SubElement(parent, _name(word)).text = NOT_XML.sub("\ufffd", content)
