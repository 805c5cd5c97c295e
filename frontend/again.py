"""Forms that came too late: from nobody, since the login has ended, or with the token of an earlier login.

Such a form changes nothing and loses nothing: what was filled in is shown, to be sent once more by the person. That is
only done for forms of which the browser says that they are ours: else a stranger's page could fill them in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flask import Flask, Response, current_app, flash, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError

from frontend import access, context, errors
from koschei.errors import UserError

View = TypeVar("View", bound=Callable[..., object])

# What says where a button stands: nobody has filled it in.
PLACES = frozenset({"collection_id", "next"})
STALE = (
    "The form was too old, or was not sent from one of our pages: nothing was changed. "
    "Go back, reload the page, and send it again."
)
LOOK = "Nothing was changed yet: you have logged in since the form was made. Look at it, and send it once more."


def on_its_page(show: Callable[..., ResponseReturnValue]) -> Callable[[View], View]:
    """Say above a view what shows its form filled in as it was sent; it is called as the view is."""

    def mark(view: View) -> View:
        view.shown_again = show  # type: ignore[attr-defined]
        return view

    return mark


def install(app: Flask) -> None:
    """Answer such forms."""

    @app.errorhandler(access.LoginEndedError)
    def ended(_error: access.LoginEndedError) -> ResponseReturnValue:
        kept = _sent()
        filled_in = [(name, value) for name, value in kept if name not in PLACES]
        told = [(name, value) for name, value in filled_in if value and not _ours(name)]
        return _page(401, ended=True, kept=kept if filled_in else [], told=told, login=access.login_address())

    @app.errorhandler(CSRFError)
    def stale(_error: CSRFError) -> ResponseReturnValue:
        if not access.sent_from_here():
            return errors.answer(400, STALE)
        show = getattr(current_app.view_functions[str(request.endpoint)], "shown_again", None)
        if show is None:
            return _page(400, ended=False, kept=_sent(), back=access.where_from())
        try:
            flash(LOOK, "danger")
            response = make_response(show(**(request.view_args or {})))
        except UserError as error:
            # What is raised by whoever answers an error would be taken for a mistake of ours.
            return current_app.handle_user_exception(error)
        response.status_code = 400
        return response


def _sent() -> list[tuple[str, str]]:
    """The fields that were sent, if the form is ours."""
    if not access.sent_from_here():
        return []
    return [(name, value) for name, value in request.form.items(multi=True) if name != "csrf_token"]


def _ours(name: str) -> bool:
    """Whether a field is one that people do not see in the form: what it was, or that there was a box."""
    return name.startswith(("was_", "group-")) or name.endswith("__present") or name in PLACES


def _page(status: int, **values: object) -> Response:
    address = request.full_path if request.query_string else request.path
    page = render_template("again.html", around=context.surroundings(), address=address, **values)
    return make_response(page, status)
