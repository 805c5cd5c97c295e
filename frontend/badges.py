"""Badges: a package's state as a small picture for a README. Pure.

The SVG is made here. The PNGs in static/badges are the same pictures, made once by a browser for those who cannot show
an SVG (tests/frontend/test_badges.py makes them again).
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from koschei.rules.states import PackageState

HEIGHT = 20
LABEL, LABEL_WIDTH = "koschei", 52
NOT_FOUND = "not found"
# Of each word: how wide its half is, its ground, and its ink, which is easily read on it.
LOOKS = {
    PackageState.OK: (26, "#44cc11", "#0b2602"),
    PackageState.FAILING: (48, "#b3182d", "#ffffff"),
    PackageState.UNRESOLVED: (74, "#b3182d", "#ffffff"),
    PackageState.BLOCKED: (54, "#fe7d37", "#2b0f00"),
    PackageState.UNTRACKED: (68, "#dfb317", "#2a2100"),
    PackageState.UNKNOWN: (60, "#c4c9cf", "#20242a"),
    NOT_FOUND: (64, "#c4c9cf", "#20242a"),
}


def svg(word: str) -> bytes:
    """The picture for a state, or for NOT_FOUND."""
    width, ground, ink = LOOKS[word]
    whole = LABEL_WIDTH + width
    title = f"{LABEL}: {word}"
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": str(whole),
            "height": str(HEIGHT),
            "viewBox": f"0 0 {whole} {HEIGHT}",
            "role": "img",
            "aria-label": title,
        },
    )
    ET.SubElement(root, "title").text = title
    clip = ET.SubElement(root, "clipPath", {"id": "round"})
    ET.SubElement(clip, "rect", {"width": str(whole), "height": str(HEIGHT), "rx": "4"})
    grounds = ET.SubElement(root, "g", {"clip-path": "url(#round)"})
    ET.SubElement(grounds, "rect", {"width": str(LABEL_WIDTH), "height": str(HEIGHT), "fill": "#3b4149"})
    ET.SubElement(grounds, "rect", {"x": str(LABEL_WIDTH), "width": str(width), "height": str(HEIGHT), "fill": ground})
    font = {"font-family": "Verdana,DejaVu Sans,Geneva,sans-serif", "font-size": "11", "text-anchor": "middle"}
    words = ET.SubElement(root, "g", font)
    _write(words, LABEL, 0, LABEL_WIDTH, "#ffffff")
    _write(words, word, LABEL_WIDTH, width, ink)
    return ET.tostring(root)


def _write(words: ET.Element, word: str, x: float, width: float, ink: str) -> None:
    # With its length given, a word fits whatever font there is.
    attributes = {"x": f"{x + width / 2:g}", "y": "14", "fill": ink, "textLength": f"{width - 12:g}"}
    ET.SubElement(words, "text", attributes).text = word
