"""The OpenAPI 3.1 document of API v2, made of the routes as they are declared."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import koschei
from frontend.api_v2.declare import ROUTES, Route
from frontend.api_v2.problems import MIMETYPE, Flaw, Problem
from frontend.api_v2.values import LONGEST_NAME, NAME_PATTERN, Query
from koschei.rules.ids import LARGEST_ID

Json = dict[str, Any]
REFERENCE = "#/components/schemas/{model}"
DESCRIPTION = """\
Packages, builds, collections, groups and events of Koschei, for programs. Reading needs nothing, but for `/token`, and
may be done by pages of other sites (CORS); writing needs a personal token. Lists have pages: follow `next` until it is
null. Times are RFC 3339, in UTC. Errors are problem documents (RFC 9457). New members may appear in answers at any
time: ignore those you do not know."""

NAME: Json = {"type": "string", "pattern": NAME_PATTERN, "maxLength": LONGEST_NAME}
PATH_PARTS: dict[str, tuple[Json, str]] = {
    "name": (NAME, "The name of the package, collection, group or user."),
    "collection": (NAME, "The name of the collection, like f44."),
    "namespace": (NAME, "The user whose group it is."),
    "build_id": ({"type": "integer", "minimum": 1, "maximum": LARGEST_ID}, "The number of the build in Koschei."),
}
PART = re.compile(r"<(?:int:)?([a-z_]+)>")
TAGS = ("Packages", "Builds", "Resolution", "Collections", "Groups", "Users", "Events", "Token")
ERRORS = {
    400: "The request makes no sense: a parameter or the body is wrong.",
    401: "There is no token, or it is not known, revoked or expired.",
    403: "The token or its person may not do this.",
    404: "What is named does not exist.",
    409: "It cannot be done as things are now.",
    410: "The cursor is too old: events behind it may have been deleted.",
    413: "The body is too long.",
    415: "The body is not application/json.",
    429: "The person has made too many changes lately; Retry-After says how many seconds to wait.",
    500: "Something broke on our side; it was logged.",
    503: "The database is away; Retry-After says how many seconds to wait.",
}


def ordered() -> list[Route]:
    """The routes as they are told: by subject, reading before writing."""
    return sorted(ROUTES, key=lambda route: (TAGS.index(route.tag), not route.reads, route.path.count("/")))


@cache
def document() -> Json:
    """The document."""
    reading: set[type[BaseModel]] = {route.answer for route in ROUTES if route.answer}
    writing: set[type[BaseModel]] = {route.body for route in ROUTES if route.body}
    inputs: list[tuple[Any, Any]] = [(model, "serialization") for model in sorted(reading | {Problem, Flaw}, key=_name)]
    inputs += [(model, "validation") for model in sorted(writing, key=_name)]
    _, schemas = models_json_schema(inputs, ref_template=REFERENCE)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Koschei",
            "version": koschei.__version__,
            "summary": "REST API v2 of Koschei, continuous integration for RPM packages",
            "description": DESCRIPTION,
            "license": {"name": "GPL-2.0-or-later", "identifier": "GPL-2.0-or-later"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in TAGS],
        "paths": _paths(),
        "components": {
            "schemas": {name: _tidy(schema) for name, schema in sorted(schemas["$defs"].items())},
            "responses": {f"Error{status}": _error(status) for status in ERRORS},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "kos_…",
                    "description": "A personal token, made on the page “API tokens”.",
                }
            },
        },
    }


def _name(model: type) -> str:
    return model.__name__


def _paths() -> Json:
    paths: Json = {}
    for route in ordered():
        paths.setdefault(address(route), {})[route.method.lower()] = _operation(route)
    return paths


def address(route: Route) -> str:
    """The path as OpenAPI writes it."""
    return "/api/v2" + PART.sub(r"{\1}", route.path)


def _operation(route: Route) -> Json:
    operation: Json = {"operationId": route.name, "tags": [route.tag], "summary": route.summary}
    if route.description:
        operation["description"] = route.description
    parameters = [_path_part(name) for name in PART.findall(route.path)] + parameters_of(route.query)
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _link(route.body)}}}
    if route.token:
        operation["security"] = [{"token": []}]
        operation["description"] = " ".join(
            filter(None, (route.description, f"Needs a token with the scope `{route.scope}`." if route.scope else ""))
        )
    operation["responses"] = {str(route.status): _success(route)} | {
        str(status): {"$ref": f"#/components/responses/Error{status}"} for status in errors_of(route)
    }
    if route.reads and not route.token:
        operation["responses"]["304"] = {"description": "It is as it was: the ETag of If-None-Match is still right."}
    return operation


def errors_of(route: Route) -> list[int]:
    """The statuses of all errors that a route can answer."""
    found = {400, 500, 503, *route.errors}
    if PART.search(route.path):
        found |= {404}
    if route.token:
        found |= {401}
    if route.scope is not None:
        found |= {403, 429}
    if route.body is not None:
        found |= {413, 415}
    return sorted(found)


def _path_part(name: str) -> Json:
    schema, description = PATH_PARTS[name]
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def parameters_of(model: type[Query]) -> list[Json]:
    """The parameters behind the question mark."""
    schema = model.model_json_schema(ref_template=REFERENCE)
    found = []
    for name, member in schema.get("properties", {}).items():
        member = _inlined(_tidy(member), schema.get("$defs", {}))
        description = member.pop("description", "")
        if member.get("default", 0) in (None, []):
            member.pop("default")
        options = [option for option in member.pop("anyOf", []) if option != {"type": "null"}]
        for option in options:
            member |= option
        found.append({"name": name, "in": "query", "description": description, "schema": member})
    return found


def _inlined(value: Any, definitions: Json) -> Any:
    """A schema without references: those of parameters are small."""
    if isinstance(value, dict):
        if "$ref" in value:
            target = _tidy(definitions[value["$ref"].rsplit("/", 1)[1]])
            rest = {key: item for key, item in value.items() if key != "$ref"}
            return {**{key: item for key, item in target.items() if key != "description"}, **rest}
        return {key: _inlined(item, definitions) for key, item in value.items()}
    return [_inlined(item, definitions) for item in value] if isinstance(value, list) else value


def _tidy(value: Any) -> Any:
    """A schema without the titles that only repeat names."""
    if isinstance(value, dict):
        return {
            key: ({name: _tidy(member) for name, member in item.items()} if key == "properties" else _tidy(item))
            for key, item in value.items()
            if not (key == "title" and isinstance(item, str))
        }
    return [_tidy(item) for item in value] if isinstance(value, list) else value


def _link(model: type[BaseModel]) -> Json:
    return {"$ref": REFERENCE.format(model=model.__name__)}


def _success(route: Route) -> Json:
    if route.answer is None:
        return {"description": "It is done."}
    headers: Json = {}
    if route.reads and not route.token:
        headers["ETag"] = {"description": "For If-None-Match.", "schema": {"type": "string"}}
    if route.status == 201:
        headers["Location"] = {"description": "The address of what was made.", "schema": {"type": "string"}}
    words = (route.answer.__doc__ or "").strip().partition("\n")[0]
    answer: Json = {"description": words, "content": {"application/json": {"schema": _link(route.answer)}}}
    return answer | ({"headers": headers} if headers else {})


def _error(status: int) -> Json:
    answer: Json = {"description": ERRORS[status], "content": {MIMETYPE: {"schema": _link(Problem)}}}
    if status in (429, 503):
        answer["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    if status == 401:
        answer["headers"] = {"WWW-Authenticate": {"description": "Bearer.", "schema": {"type": "string"}}}
    return answer
