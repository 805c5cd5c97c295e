"""Logging in and out: by an OpenID Connect provider, or by the web server in front, which then protects `/login`."""

from __future__ import annotations

import re
from typing import Any, cast

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.flask_client import OAuth
from flask import Blueprint, Flask, current_app, flash, redirect, render_template, request, url_for
from flask import session as cookie
from flask.typing import ResponseReturnValue
from requests import RequestException
from structlog.stdlib import get_logger
from werkzeug.exceptions import NotImplemented as NotConfigured

from frontend import access, context, errors, people
from frontend.navigation import site
from koschei import users
from koschei.config.frontend import AuthConfig
from koschei.errors import InvalidInputError, NotAllowedError
from koschei.rules.names import quoted

log = get_logger(__name__)
blueprint = Blueprint("login", __name__)

PROVIDER = "provider"
NEXT = "next"
SEPARATORS = re.compile(r"[\s,;]+")
AWAY = "The service that knows who you are does not answer. Everything can be read without logging in; try again soon."


@blueprint.get("/login")
def login() -> ResponseReturnValue:
    """Log in, and go to `next`: a path on this site."""
    target = access.local(request.args.get("next"))
    config = context.frontend().config
    if config.bypass_login:
        return _welcome(config.bypass_login, [], target, admin=True)
    auth = config.frontend.auth
    if auth.method == "environment":
        return _welcome(*_told_by_the_server(auth), target)
    cookie[NEXT] = target
    try:
        return cast(ResponseReturnValue, _provider().authorize_redirect(site() + url_for("login.callback")))
    except (RequestException, AuthlibBaseError, ValueError) as error:
        return _away(error)


@blueprint.get("/login/callback")
def callback() -> ResponseReturnValue:
    """Where the provider sends people back to."""
    auth = context.frontend().config.frontend.auth
    if auth.method != "oidc":
        raise NotConfigured
    try:
        provider = _provider()
        token = provider.authorize_access_token()
        claims = {**(token.get("userinfo") or {}), **provider.userinfo(token=token)}
    except RequestException as error:
        return _away(error)
    except (AuthlibBaseError, ValueError, KeyError) as error:
        log.warning("a login did not succeed", error=str(error)[:300])
        raise NotAllowedError(
            "You are not logged in: the service that knows who you are said no, or its answer came too late. "
            "You can try again with “Log in”."
        ) from error
    if claims.get("sub") != (token.get("userinfo") or {}).get("sub"):
        raise NotAllowedError("You are not logged in: the provider named two different people. Try again.")
    groups = claims.get(auth.oidc.groups_claim) or []
    named = [group for group in groups if isinstance(group, str)] if isinstance(groups, list) else []
    return _welcome(_matched(auth, str(claims.get(auth.oidc.name_claim) or "")), named, cookie.get(NEXT))


@blueprint.get("/logout")
def leave() -> str:
    """Ask whether to log out: only a form does it, so that no link or image on another page can."""
    return render_template("logout.html", around=context.surroundings())


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """Log out."""
    flash("Successfully logged out." if people.forget() else "You were not logged in.", "info")
    return redirect(url_for("overview.overview"), 303)


def install(app: Flask, auth: AuthConfig) -> None:
    """Get to know the provider, when there is one. It is asked for its addresses at the first login."""
    if auth.method != "oidc":
        return
    registry = OAuth(app)
    registry.register(
        PROVIDER,
        client_id=auth.oidc.client_id,
        client_secret=auth.oidc.client_secret.get_secret_value(),
        server_metadata_url=f"{str(auth.oidc.issuer).rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={
            "scope": " ".join(auth.oidc.scopes),
            "code_challenge_method": "S256",
            "default_timeout": auth.oidc.timeout,
        },
    )
    app.extensions[PROVIDER] = registry


def _provider() -> Any:
    return current_app.extensions[PROVIDER].create_client(PROVIDER)


def _told_by_the_server(auth: AuthConfig) -> tuple[str, list[str]]:
    """Name and groups of who the web server in front says it is."""
    identity = request.environ.get(auth.user_env)
    if not identity:
        log.error("nobody says who logs in: is /login protected by the web server?", variable=auth.user_env)
        raise NotConfigured(
            f"Nobody can log in here: the web server in front does not say who you are (in {auth.user_env}). "
            "An operator has to mend that."
        )
    groups = str(request.environ.get(auth.groups_env) or "")
    return _matched(auth, str(identity)), [group for group in SEPARATORS.split(groups) if group]


def _matched(auth: AuthConfig, identity: str) -> str:
    """The user's name in an identity."""
    match = re.fullmatch(auth.user_re, identity)
    if match is None or not match[1]:
        raise InvalidInputError(f"You are known as {quoted(identity)}, which does not name a user here")
    return match[1]


def _welcome(name: str, groups: list[str], target: str | None, *, admin: bool = False) -> ResponseReturnValue:
    """Begin the session."""
    frontend = context.frontend()
    by_group = not set(groups).isdisjoint(frontend.config.frontend.auth.admin_groups)
    with frontend.database.begin() as session:
        found = users.log_in(session, name, admin=admin)
    people.remember(found.user_id, admin=by_group)
    if found.new:
        flash(f"New user {name} was registered.", "info")
    rights = " You have admin privileges." if found.admin or by_group else ""
    flash(f"Logged in as {name}.{rights}", "success")
    return redirect(access.local(target) or url_for("overview.overview"), 303)


def _away(error: Exception) -> ResponseReturnValue:
    log.error("the login provider is away", error=str(error)[:300])
    return errors.answer(503, AWAY)
