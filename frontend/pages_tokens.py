"""`/tokens`: one's personal tokens of the REST API: made (and shown once), listed, revoked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from flask import Blueprint, Response, make_response, render_template
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, SelectChoice, SelectField, StringField

from frontend import again, context, editing, forms
from frontend.access import Role, needs
from koschei import tokens
from koschei.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from koschei.model import ApiToken
from koschei.rules.ids import LARGEST_ID
from koschei.tokens import Scope

blueprint = Blueprint("tokens", __name__)

LIVES = {7: "a week", 30: "a month", 90: "three months", 180: "half a year", 365: "a year"}


class TokenForm(forms.Form):
    """A token to be made."""

    name = StringField("What is it for?")
    packages = BooleanField(tokens.MEANINGS[Scope.PACKAGES])
    groups = BooleanField(tokens.MEANINGS[Scope.GROUPS])
    days = SelectField(
        "How long is it needed?",
        choices=[SelectChoice(str(days), words) for days, words in LIVES.items()],
        coerce=int,
        default=90,
    )

    def scopes(self) -> list[Scope]:
        """What it may be used for."""
        return [scope for scope in Scope if self[scope].data]


@blueprint.get("/tokens")
@needs(Role.USER)
def listing() -> ResponseReturnValue:
    """One's tokens, and the form for another."""
    return _page(TokenForm())


@blueprint.post("/tokens")
@needs(Role.USER)
@again.on_its_page(lambda: _page(TokenForm()))
def make() -> ResponseReturnValue:
    """Make a token, and show it this once."""
    form = TokenForm()
    if not form.validate():
        return _page(form, 422)
    now = context.now()
    try:
        with editing.edit() as session:
            expires = now + timedelta(days=form.days.data)
            secret = tokens.make(session, editing.actor(), form.name.data or "", form.scopes(), expires, now=now)
            found = tokens.listed(session, editing.someone().id)
    except (InvalidInputError, AlreadyExistsError) as error:
        (form.packages if form.name.data and not form.scopes() else form.name).errors = [str(error)]
        return _page(form, 422)
    return _page(TokenForm(formdata=None), found=found, secret=secret, made=form.name.data)


@blueprint.post("/tokens/<int:token_id>/revoke")
@needs(Role.USER)
def revoke(token_id: int) -> ResponseReturnValue:
    """End one of one's tokens; whoever uses it for too many changes cannot prevent that."""
    try:
        with editing.uncounted() as session:
            message = tokens.revoke(session, editing.actor(), min(token_id, LARGEST_ID))
    except NotFoundError as error:
        return editing.refused(error, "tokens.listing")
    return editing.done(f"{message}: whoever uses it is refused from now on", "tokens.listing")


def _page(
    form: TokenForm,
    status: int = 200,
    *,
    found: Sequence[ApiToken] | None = None,
    secret: str | None = None,
    made: str | None = None,
) -> Response:
    if found is None:
        found = tokens.listed(context.session(), editing.someone().id)
    page = render_template(
        "tokens.html",
        around=context.surroundings([]),
        form=form,
        found=found,
        secret=secret,
        made=made,
    )
    response = make_response(page, status)
    response.headers["Cache-Control"] = "no-store"
    return response
