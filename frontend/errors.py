"""Error pages that help: what is wrong, why, and where to go on. The API answers the same as JSON."""

from __future__ import annotations

from flask import Flask, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import DBAPIError, OperationalError
from structlog.stdlib import get_logger
from werkzeug.exceptions import HTTPException, InternalServerError

from frontend import context, people
from frontend.api_v2 import problems
from koschei.errors import (
    AlreadyExistsError,
    ConfigError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    ServiceError,
    TooManyEditsError,
)
from koschei.rights import Person

log = get_logger(__name__)

TITLES = {
    400: "That address makes no sense here",
    403: "That is not allowed",
    409: "There is one already",
    404: "There is no such page",
    405: "That cannot be done here",
    413: "That is too much at once",
    429: "Too many changes for now",
    500: "Something broke on our side",
    501: "That cannot be done here yet",
    503: "Not available at the moment",
}
# The parts of the pages whose addresses have the name of a package.
ABOUT_A_PACKAGE = frozenset({"package", "package_edit", "bugreport"})
HELP = {
    400: "Something after the question mark in the address cannot be understood.",
    404: "The address may be mistyped, or what it named may have been deleted: old builds are, after a while.",
    413: "A million characters are the most that can be sent. Nothing was changed; send less at once.",
    405: "This address exists, but it is not meant for what your browser or script just tried.",
    500: "It was logged, with the time you see below. Trying again may help.",
    503: "Nothing is lost. Try again in a minute.",
}


def answer(status: int, message: str = "", *, wait: int = 30) -> ResponseReturnValue:
    """An error as a page, or as JSON for the API; with or without a database.

    `wait`: seconds, when trying again may help.
    """
    message = message or HELP.get(status, "")
    context.close()
    headers = {"Cache-Control": "no-store", **({"Retry-After": str(wait)} if status in (429, 503) else {})}
    if request.path.startswith("/api/v2/"):
        return problems.respond(status, message, headers=headers)
    if request.path.startswith("/api/"):
        return jsonify(error=message or TITLES.get(status, "")), status, headers
    title = TITLES.get(status, "That did not work")
    page = render_template(
        "error.html", status=status, title=title, message=message, package=_package_sought(status), **_reader(status)
    )
    return page, status, headers


def _package_sought(status: int) -> str | None:
    """The name of a package that is not there, or that lacks what was asked for."""
    return (request.view_args or {}).get("name") if status == 404 and request.blueprint in ABOUT_A_PACKAGE else None


def _reader(status: int) -> dict[str, Person | None]:
    """`me`: who reads the page. Empty when that is not known: whoever broke is not asked."""
    if status in (500, 503) and not people.asked():
        return {}
    try:
        return {"me": people.person()}
    except (ServiceError, DBAPIError) as error:
        log.warning("the database is away", path=request.path, error=str(error).splitlines()[0])
        return {}
    finally:
        context.close()


def install(app: Flask) -> None:
    """Answer every kind of error."""

    @app.errorhandler(NotFoundError)
    def not_found(error: NotFoundError) -> ResponseReturnValue:
        return answer(404, str(error))

    @app.errorhandler(InvalidInputError)
    def invalid(error: InvalidInputError) -> ResponseReturnValue:
        return answer(400, str(error))

    @app.errorhandler(NotAllowedError)
    def not_allowed(error: NotAllowedError) -> ResponseReturnValue:
        return answer(403, str(error))

    @app.errorhandler(TooManyEditsError)
    def too_many(error: TooManyEditsError) -> ResponseReturnValue:
        return answer(429, str(error), wait=error.wait)

    @app.errorhandler(AlreadyExistsError)
    def exists(error: AlreadyExistsError) -> ResponseReturnValue:
        return answer(409, str(error))

    @app.errorhandler(ServiceError)
    @app.errorhandler(OperationalError)
    def away(error: Exception) -> ResponseReturnValue:
        # What the driver says may name hosts and users: that is for the log, not for the reader.
        log.error("the database is away", path=request.path, error=str(error).splitlines()[0])
        return answer(503, "Koschei's database does not answer. " + HELP[503])

    @app.errorhandler(DBAPIError)
    def database(error: DBAPIError) -> ResponseReturnValue:
        return away(error) if error.connection_invalidated else unexpected(error)

    @app.errorhandler(ConfigError)
    @app.errorhandler(InternalServerError)
    def unexpected(error: Exception) -> ResponseReturnValue:
        cause = getattr(error, "original_exception", None) or error
        log.error("a request failed", path=request.path, exc_info=cause)
        return answer(500)

    @app.errorhandler(HTTPException)
    def other(error: HTTPException) -> ResponseReturnValue:
        status = error.code or 500
        if status < 400:
            return error
        response = app.make_response(answer(status, (error.description or "") if status == 501 else ""))
        for name, value in error.get_headers():
            if name == "Allow":
                response.headers[name] = value
        return response
