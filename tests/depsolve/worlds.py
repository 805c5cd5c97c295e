"""Small repositories full of alternatives, conflicts and rich dependencies, drawn by hypothesis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

NAMES = "abcdefgh"
WEAK = st.lists(st.sampled_from([*NAMES, "v", "w"]), max_size=2)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Mapping[str, Any]], dict[str, list[str]]]:
    rpms: list[Mapping[str, Any]] = []
    for name in NAMES:
        for version in draw(st.sets(st.sampled_from("123"), min_size=1, max_size=2)):
            rpms.append(
                {
                    "nevra": f"{name}-{version}-1.noarch",
                    "requires": draw(st.lists(st.sampled_from([*NAMES, "v", "w", "(a or v)", "b > 1"]), max_size=3)),
                    "provides": draw(st.lists(st.sampled_from(["v", "w"]), max_size=1)),
                    "conflicts": draw(st.lists(st.sampled_from([*NAMES, "v"]), max_size=1)),
                    "recommends": draw(WEAK),
                    "supplements": draw(WEAK),
                }
            )
    wanted = st.lists(st.sampled_from([*NAMES, "v", "w", "(v if a)", "(v without c)", "nowhere"]), max_size=4)
    return rpms, {key: draw(wanted) for key in ("one", "two", "three", "four")}
