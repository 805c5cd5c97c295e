"""`koschei-frontend`: the pages and the API, served by gunicorn."""

from __future__ import annotations

import os

import click

from koschei import config as koschei_config
from koschei import logs
from koschei.errors import ConfigError


@click.command()
@click.option("--bind", default="0.0.0.0:8080", show_default=True, help="Address and port to listen on.")
@click.version_option(package_name="koschei")
def main(bind: str) -> None:
    """Serve Koschei's pages and API. WEB_CONCURRENCY says how many worker processes there are (2)."""
    word = os.environ.get("WEB_CONCURRENCY", "2")
    if not word.isdigit() or int(word) < 1:
        raise click.ClickException(f"WEB_CONCURRENCY is {word!r}, but must be a number of processes, at least 1")
    try:
        config = koschei_config.load()
        config.secret_key()
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    # Late: merely importing gunicorn fails with a traceback when WEB_CONCURRENCY is no number.
    from frontend.server import Server, options

    logs.configure(config.logging.level, config.logging.format, service="frontend")
    Server(config, options(bind, int(word))).run()
