"""A bug report as a template: what may stand in its fields, and how they are filled."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from string import Formatter

VARIABLES = {
    "name": "the package's name",
    "version": "the version of its last build that counts",
    "release": "its release",
    "arch": "always src: it is the source package that is meant",
    "package": "the package's name",
    "collection": "the collection's name for people",
    "collection.name": "its name in addresses",
    "collection.bugzilla_product": "its product in Bugzilla",
    "collection.bugzilla_version": "its version in Bugzilla",
    "url": "the package's page",
    "evidence": "the task and its logs or the problems, the last good build, and the nearest changes",
}

COMMENT = """\
{name} cannot be built from source in {collection}. Koschei found that with {name}-{version}-{release}.

{evidence}

All builds and changes, and what became of it:
{url}
"""


def check(template: str) -> str:
    """The template, if it can be filled. Raises ValueError that says what in it cannot."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"cannot be read: {error} (braces that stand for themselves are doubled)") from error
    for _, name, specification, conversion in parts:
        if name is None:
            continue
        if name not in VARIABLES:
            raise ValueError(f"knows no {{{name}}}: it may use {', '.join(f'{{{one}}}' for one in VARIABLES)}")
        if specification or conversion:
            raise ValueError(f"takes {{{name}}} as it is, without anything behind the name")
    return template


def filled(template: str, values: Mapping[str, str | None]) -> str | None:
    """A checked template with its variables replaced; None when one has no value."""
    result = []
    for literal, name, _, _ in Formatter().parse(inspect.cleandoc(template)):
        result.append(literal)
        if name is not None:
            value = values.get(name)
            if value is None:
                return None
            result.append(value)
    return "".join(result)
