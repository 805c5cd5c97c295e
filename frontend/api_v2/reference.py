"""`/api/v2`: the reference of the API as a page, made of the same document as openapi.json, without any script."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, render_template
from markupsafe import Markup

from frontend import context
from frontend.api_v2.declare import Route
from frontend.api_v2.openapi import DESCRIPTION, ERRORS, TAGS, address, document, errors_of, ordered

blueprint = Blueprint("api_reference", __name__)

Json = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """A route as the page shows it. `answer` and `body` are names of schemas."""

    route: Route
    address: str
    operation: Json
    answer: str | None
    body: str | None
    errors: list[int]


@blueprint.get("/api/v2")
def reference() -> str:
    """Every route with its parameters, answers and errors, then the members of all that is answered."""
    found = document()
    entries = [_entry(route, found) for route in ordered()]
    return render_template(
        "api.html",
        around=context.surroundings([]),
        introduction=DESCRIPTION,
        subjects={tag: [entry for entry in entries if entry.route.tag == tag] for tag in TAGS},
        schemas={name: schema for name, schema in found["components"]["schemas"].items() if "properties" in schema},
        errors=ERRORS,
        kind=lambda schema: kind(schema, found["components"]["schemas"]),
        link_of=link_of,
        prose=prose,
    )


def _entry(route: Route, found: Json) -> Entry:
    where = address(route)
    operation = found["paths"][where][route.method.lower()]
    return Entry(
        route,
        where,
        operation,
        route.answer.__name__ if route.answer else None,
        route.body.__name__ if route.body else None,
        errors_of(route),
    )


def prose(text: str | None) -> Markup:
    """Words in which code stands between backticks, as a page shows them."""
    parts = (text or "").split("`")
    return Markup().join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


def link_of(schema: Json) -> str | None:
    """The name of the schema that this one, or its items, are described by."""
    for part in (schema, schema.get("items", {}), *schema.get("anyOf", [])):
        if "$ref" in part:
            return str(part["$ref"]).rsplit("/", 1)[1]
    return None


def kind(schema: Json, schemas: Json) -> str:
    """What kind of value a schema wants, in a few words."""
    if "anyOf" in schema:
        return " or ".join(kind(option, schemas) for option in schema["anyOf"])
    if "$ref" in schema:
        name = link_of(schema) or ""
        target = schemas.get(name, {})
        return kind(target, schemas) if "enum" in target else name
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
    words = str(schema.get("type", "any value"))
    if words == "array":
        return f"list of {kind(schema.get('items', {}), schemas)}"
    if words == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {kind(schema['additionalProperties'], schemas)}"
    if words == "integer":
        words = "whole number"
    if words == "string":
        words = {"date-time": "time", "uuid": "UUID"}.get(schema.get("format", ""), "text")
    return words + _bounds(schema)


def _bounds(schema: Json) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if high is not None and high >= 2**31 - 1:
        high = None
    if low is not None and high is not None:
        return f" from {low} to {high}"
    return f", {low} at least" if low is not None else ""
