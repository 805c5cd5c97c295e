"""Reading requests: parameters and bodies become checked values, or an error that names everything wrong with them."""

from __future__ import annotations

import types
from typing import Any, TypeVar, Union, get_args, get_origin

from flask import request
from pydantic import BaseModel, ValidationError

from frontend.api_v2.problems import Flaw, InvalidRequest
from frontend.api_v2.values import Body, Query
from koschei.rules.names import listed, suggestion

LARGEST_BODY = 1_000_000
MOST_FLAWS = 20

Q = TypeVar("Q", bound=Query)
B = TypeVar("B", bound=Body)


def query(model: type[Q]) -> Q:
    """The parameters behind the question mark. Errors: InvalidRequest."""
    found: dict[str, Any] = {}
    flaws = []
    for name, values in request.args.lists():
        if name not in model.model_fields:
            flaws.append(Flaw(where=name[:60], message=_unknown(name, model)))
        elif many(model, name):
            found[name] = values
        elif len(values) > 1:
            flaws.append(Flaw(where=name, message="can be given only once"))
        else:
            found[name] = values[0]
    if flaws:
        raise InvalidRequest(flaws[:MOST_FLAWS])
    try:
        return model.model_validate(found)
    except ValidationError as error:
        raise _invalid(error) from None


def body(model: type[B]) -> B:
    """The body. Errors: InvalidRequest; 415 for another type than JSON, 413 for what is too long."""
    if request.mimetype != "application/json":
        raise InvalidRequest.of("Content-Type", "the body must be application/json", 415)
    request.max_content_length = LARGEST_BODY
    try:
        return model.model_validate_json(request.get_data(cache=False))
    except ValidationError as error:
        raise _invalid(error) from None


def many(model: type[BaseModel], name: str) -> bool:
    """Whether a parameter can be given several times."""
    annotation = model.model_fields[name].annotation
    if get_origin(annotation) in (types.UnionType, Union):
        return any(get_origin(part) is list for part in get_args(annotation))
    return get_origin(annotation) is list


def _unknown(name: str, model: type[BaseModel]) -> str:
    if not model.model_fields:
        return "there are no parameters here"
    known = f"there is no such parameter; known are {listed(sorted(model.model_fields))}"
    hint = suggestion(name, list(model.model_fields))
    return f"{known}. {hint}".rstrip(" .") if not hint else f"{known}. {hint}"


def _invalid(error: ValidationError) -> InvalidRequest:
    flaws = []
    for found in error.errors(include_url=False, include_context=False, include_input=False)[:MOST_FLAWS]:
        where = ".".join(str(part) for part in found["loc"])[:200] or "body"
        message = found["msg"].removeprefix("Value error, ")
        flaws.append(Flaw(where=where, message=message[:1].lower() + message[1:]))
    return InvalidRequest(flaws)
