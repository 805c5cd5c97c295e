"""What a setting accepts, in words; and which settings there are. For error messages and the reference page."""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from koschei.config.schema import Config
from koschei.config.section import Section

BOUNDS = {
    annotated_types.Gt: ("gt", "greater than {}"),
    annotated_types.Ge: ("ge", "at least {}"),
    annotated_types.Lt: ("lt", "less than {}"),
    annotated_types.Le: ("le", "at most {}"),
}
PLAIN = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path",
    SecretStr: "text (secret)",
}


def section_of(annotation: object) -> type[Section] | None:
    """The Section that an annotation names, if it does."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None


def fields_of(section: type[Section]) -> dict[str, FieldInfo]:
    """The settings and sub-tables of a section, by the name they have in a file."""
    return {field.serialization_alias or name: field for name, field in section.model_fields.items()}


def walk(section: type[Section] = Config, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """All settings (not tables) of a section, depth first, with the parts of their dotted key."""
    for name, field in fields_of(section).items():
        if table := section_of(field.annotation):
            yield from walk(table, (*prefix, name))
        else:
            yield (*prefix, name), field


def field_named(section: type[Section], part: str) -> tuple[str, FieldInfo] | None:
    """The setting or table of a section that a name means; capitals and the choice of - or _ do not matter."""
    for name, field in fields_of(section).items():
        if _fold(name) == _fold(part):
            return name, field
    return None


def _fold(name: str) -> str:
    return name.lower().replace("-", "_")


def find(key: Sequence[str]) -> tuple[type[Section] | FieldInfo | None, tuple[str, ...]]:
    """The section or setting that a dotted key names, or the free table it lies in, and the parts left over.

    None when the first of the parts left over is not known.
    """
    section: type[Section] = Config
    for position, part in enumerate(key):
        named = field_named(section, part)
        if named is None:
            return None, tuple(key[position:])
        table = section_of(named[1].annotation)
        if table is None:
            return named[1], tuple(key[position + 1 :])
        section = table
    return section, ()


def annotation_of(field: FieldInfo) -> Any:
    """A field's type with its bounds."""
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def wants_text(field: FieldInfo, inside: bool = False) -> bool:
    """Whether a setting (or, with `inside`, an entry of it) is text for people who write it."""
    annotation = field.annotation
    if inside:
        return get_args(annotation)[-1:] == (str,)
    expected = expectation(annotation)
    return expected.startswith(("text", "a path", "one of"))


def is_secret(field: FieldInfo) -> bool:
    """Whether a setting's value must not be shown."""
    return SecretStr in (field.annotation, *get_args(field.annotation))


def expectation(annotation: Any) -> str:
    """What a value of this type looks like, for people."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        bounds = [
            text.format(getattr(item, name))
            for item in arguments[1:]
            for kind, (name, text) in BOUNDS.items()
            if isinstance(item, kind)
        ]
        return " ".join([expectation(arguments[0]), " and ".join(bounds)]).strip()
    if origin in (Union, types.UnionType):
        return " or ".join(expectation(part) for part in arguments if part is not types.NoneType)
    if origin is Literal:
        return "one of " + ", ".join(f'"{choice}"' for choice in arguments)
    if origin is tuple:
        return f"a list of {expectation(arguments[0])}"
    if origin is dict:
        return "a table" if arguments[1] is Any else f"a table of {expectation(arguments[1])}"
    if section_of(annotation):
        return "a table"
    return PLAIN[annotation]


def kind_of(value: object) -> str:
    """What a value from TOML is, for people, without showing it."""
    names = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "a table",
    }
    return names.get(type(value), f"a {type(value).__name__}")
