"""Declaring a route of API v2: the same lines check its requests, write its answers, and describe it in OpenAPI."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request
from pydantic import BaseModel

from frontend.api_v2 import reading
from frontend.api_v2.auth import bearer
from frontend.api_v2.values import LONGEST_NAME, NAME_PATTERN, Body, Query
from koschei.errors import NotFoundError
from koschei.rules.ids import LARGEST_ID
from koschei.rules.names import quoted
from koschei.tokens import Scope

blueprint = Blueprint("api_v2", __name__, url_prefix="/api/v2")

NAME = re.compile(NAME_PATTERN)
# What browsers on other sites may see of an answer to a reading request; they never send credentials with it.
CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "ETag, Link, Retry-After"}
PREFLIGHT = {"Access-Control-Allow-Methods": "GET, HEAD", "Access-Control-Allow-Headers": "If-None-Match"}


@dataclass(frozen=True)
class Route:
    """A route as it was declared. `errors`: the statuses of errors that it answers beside those of every route."""

    method: str
    path: str
    name: str
    tag: str
    summary: str
    description: str
    query: type[Query]
    body: type[Body] | None
    answer: type[BaseModel] | None
    status: int
    token: bool
    scope: Scope | None
    errors: tuple[int, ...]

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.method == "GET"


ROUTES: list[Route] = []
View = Callable[..., Any]


def get(
    path: str,
    *,
    tag: str,
    answer: type[BaseModel],
    query: type[Query] = Query,
    errors: tuple[int, ...] = (),
    token: bool = False,
) -> Callable[[View], View]:
    """A route that reads; its function gets the path's parts and `query`, if there is one, and returns `answer`."""

    def declare(view: View) -> View:
        summary, description = _words(view)
        route = Route(
            "GET", path, view.__name__, tag, summary, description, query, None, answer, 200, token, None, errors
        )
        return _install(route, view)

    return declare


def change(
    method: str,
    path: str,
    *,
    tag: str,
    scope: Scope,
    body: type[Body] | None = None,
    answer: type[BaseModel] | None = None,
    status: int = 200,
    errors: tuple[int, ...] = (),
) -> Callable[[View], View]:
    """A route that changes something in the name of the token's person; its function also gets `body`."""

    def declare(view: View) -> View:
        summary, description = _words(view)
        route = Route(
            method, path, view.__name__, tag, summary, description, Query, body, answer, status, True, scope, errors
        )
        return _install(route, view)

    return declare


def _words(view: View) -> tuple[str, str]:
    """Summary and description, from the docstring."""
    summary, _, rest = (view.__doc__ or "").strip().partition("\n")
    return summary.rstrip("."), " ".join(rest.split())


def _install(route: Route, view: View) -> View:
    def answered(**arguments: Any) -> Response:
        if route.token:
            bearer(route.scope)
        _check_path(arguments)
        query = reading.query(route.query)
        if route.query is not Query:
            arguments["query"] = query
        if route.body is not None:
            arguments["body"] = reading.body(route.body)
        return _response(route, view(**arguments))

    ROUTES.append(route)
    blueprint.add_url_rule(route.path, endpoint=route.name, view_func=answered, methods=[route.method])
    return view


def _check_path(parts: Mapping[str, str | int]) -> None:
    """Nothing is called what cannot be a name. Errors: NotFoundError."""
    for part in parts.values():
        if isinstance(part, str) and (len(part) > LONGEST_NAME or not NAME.fullmatch(part)):
            raise NotFoundError(f"Nothing is called {quoted(part)}: names have letters, digits and . + _ -")
        if isinstance(part, int) and part > LARGEST_ID:
            raise NotFoundError("No number is as large as that")


def _response(route: Route, answer: Any) -> Response:
    if answer is None:
        return Response(status=route.status, headers={"Cache-Control": "no-store"})
    assert route.answer is not None
    assert isinstance(answer, route.answer)
    response = Response(answer.model_dump_json(), status=route.status, mimetype="application/json")
    if not route.reads or route.token:
        response.headers["Cache-Control"] = "no-store"
        location = getattr(answer, "location", None)
        if location and route.status == 201:
            response.headers["Location"] = location
        return response
    following = getattr(answer, "next", None)
    if following:
        response.headers["Link"] = f'<{following}>; rel="next"'
    response.add_etag()
    response.make_conditional(request)
    return response


@blueprint.after_request
def share(response: Response) -> Response:
    """Let pages of other sites read what everybody may read; what needs a token is none of theirs."""
    if request.method in ("GET", "HEAD"):
        response.headers.update(CORS)
    elif request.method == "OPTIONS":
        response.headers.update({**CORS, **PREFLIGHT})
    return response
