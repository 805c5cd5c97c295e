"""The Flask application."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from flask import Flask
from sqlalchemy import event
from werkzeug.middleware.proxy_fix import ProxyFix

import koschei
from frontend import (
    access,
    again,
    api_v1,
    api_v2,
    compression,
    context,
    errors,
    filters,
    forms,
    headers,
    health,
    login,
    meta,
    metrics,
    navigation,
    notices,
    pages_add_packages,
    pages_affected,
    pages_audit,
    pages_badges,
    pages_bugreport,
    pages_builds,
    pages_collections,
    pages_diff,
    pages_docs,
    pages_feeds,
    pages_group_forms,
    pages_groups,
    pages_overview,
    pages_package,
    pages_package_edit,
    pages_packages,
    pages_search,
    pages_stats,
    pages_tokens,
    present,
    static_files,
)
from koschei.config import Config
from koschei.db.engine import Database

BLUEPRINTS = (
    api_v1.blueprint,
    health.blueprint,
    login.blueprint,
    meta.blueprint,
    pages_add_packages.blueprint,
    pages_affected.blueprint,
    pages_audit.blueprint,
    pages_badges.blueprint,
    pages_bugreport.blueprint,
    pages_builds.blueprint,
    pages_collections.blueprint,
    pages_diff.blueprint,
    pages_docs.blueprint,
    pages_feeds.blueprint,
    pages_group_forms.blueprint,
    pages_groups.blueprint,
    pages_overview.blueprint,
    pages_package.blueprint,
    pages_package_edit.blueprint,
    pages_packages.blueprint,
    pages_search.blueprint,
    pages_stats.blueprint,
    pages_tokens.blueprint,
    static_files.blueprint,
)
# Requests that one process answers at once, each with a database connection.
POOL = 8
# No page needs more time; a query that does is broken, and must not hold its connection for ever. What pages ask is in
# memory, and is answered before a compiler would have begun.
ASKING = "SET statement_timeout = '30s'; SET random_page_cost = 1.1; SET jit = off"


def create_app(
    config: Config,
    database: Database | None = None,
    *,
    clock: Callable[[], datetime] = context.system_clock,
    leaving: Callable[[], bool] = lambda: False,
) -> Flask:
    """The application for these settings. Errors: ConfigError without flask.SECRET_KEY.

    `leaving` tells whether the process is about to stop: it is not ready then, and answers whatever still comes.
    It connects to the database with the first request that needs it: an outage at the start heals by itself.
    """
    app = Flask(__name__)
    app.config.update(SECRET_KEY=config.secret_key(), **cookies(config))
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.strict_slashes = False
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    database = database or Database(config.database_url(), application_name="koschei-frontend", pool_size=POOL)
    event.listen(database.engine, "connect", _prepare)
    context.install(app, context.Frontend(config, database, clock, leaving))
    for part in (
        metrics,
        compression,
        static_files,
        headers,
        filters,
        present,
        errors,
        access,
        forms,
        again,
        navigation,
        notices,
        pages_affected,
        pages_feeds,
    ):
        part.install(app)
    login.install(app, config.frontend.auth)
    about_us = {
        "koschei_version": koschei.__version__,
        "SOURCE": config.frontend.source,
        "ISSUES": config.frontend.issues,
    }
    app.jinja_env.globals.update(about_us)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    api_v2.install(app)
    forms.csrf.exempt(api_v2.blueprint)  # its requests show tokens; cookies are never looked at
    # One proxy stands in front, and tells who asked and how.
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    return app


def cookies(config: Config) -> dict[str, Any]:
    """Settings of the session's cookie: only for us, and only over https, unless we are known to be without."""
    secure = not (config.frontend.external_url or "https://").startswith("http://")
    return {
        "SESSION_COOKIE_NAME": "__Host-koschei" if secure else "koschei",
        "SESSION_COOKIE_SECURE": secure,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_PATH": "/",
    }


def _prepare(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(ASKING)
    connection.commit()
