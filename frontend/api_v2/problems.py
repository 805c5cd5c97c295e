"""Errors of API v2 as problem documents (RFC 9457): always the same shape, whatever went wrong and wherever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from flask import Response
from pydantic import BaseModel, Field

from koschei.errors import InvalidInputError, NotAllowedError

MIMETYPE = "application/problem+json"


class Flaw(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(description="The parameter, or the member of the body, that is wrong.")
    message: str = Field(description="What is wrong with it.")


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(description="Always about:blank: the status says what kind of problem it is.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.", ge=400, le=599)
    detail: str = Field(description="What is wrong, and what to do about it.")
    errors: list[Flaw] = Field(description="Each parameter or member that is wrong; empty when it is something else.")


class InvalidRequest(InvalidInputError):  # noqa: N818 - it is what the request is
    """The parameters or the body of a request cannot be used."""

    def __init__(self, flaws: Sequence[Flaw], status: int = 400) -> None:
        self.flaws, self.status = list(flaws), status
        super().__init__("; ".join(f"{flaw.where}: {flaw.message}" for flaw in flaws))

    @classmethod
    def of(cls, where: str, message: str, status: int = 400) -> InvalidRequest:
        """The error that one thing is wrong."""
        return cls([Flaw(where=where, message=message)], status)


class Conflict(InvalidInputError):  # noqa: N818
    """The request makes sense, but not as things are now."""


class Unauthorized(NotAllowedError):  # noqa: N818
    """There is no token with the request, or one that cannot be used."""


def respond(
    status: int, detail: str, *, errors: Sequence[Flaw] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """A problem document."""
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    problem = Problem(type="about:blank", title=title, status=status, detail=detail or title, errors=list(errors))
    response = Response(problem.model_dump_json(), status=status, mimetype=MIMETYPE)
    response.headers.update({"Cache-Control": "no-store", **(headers or {})})
    return response
