"""`koschei-frontend`: the pages and the API, served by gunicorn."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack

import click

from frontend import metrics_port as metrics_ports
from koschei import config as koschei_config
from koschei import logs
from koschei.db import schema
from koschei.errors import ConfigError


@click.command()
@click.option("--bind", default="0.0.0.0:8080", show_default=True, help="Address and port to listen on.")
@click.option(
    "--drain",
    type=click.FloatRange(0, 600),
    default=0,
    show_default=True,
    help="Seconds to serve on after SIGTERM, not ready any more, until whatever stands in front has noticed.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="Port with /metrics for Prometheus, which the pages' port has not; 0: none.",
)
@click.version_option(package_name="koschei")
def main(bind: str, drain: float, metrics_port: int) -> None:
    """Serve Koschei's pages and API. WEB_CONCURRENCY says how many worker processes there are (2).

    Exit status: 1 the settings are wrong; 3 the database's tables are not those that this version needs.
    """
    word = os.environ.get("WEB_CONCURRENCY", "2")
    if not word.isdigit() or int(word) < 1:
        raise click.ClickException(f"WEB_CONCURRENCY is {word!r}, but must be a number of processes, at least 1")
    try:
        config = koschei_config.load()
        config.secret_key()
        hindrance = schema.hindrance(config.database_url())
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    if hindrance is not None:
        click.echo(f"Error: {hindrance}", err=True)
        sys.exit(3)
    if metrics_port and bind.endswith(f":{metrics_port}"):
        raise click.ClickException(f"--metrics-port is {metrics_port}, where the pages are: choose another")
    logs.configure(config.logging.level, config.logging.format, service="frontend")
    with ExitStack() as stack:
        slots = metrics_ports.Slots()
        if metrics_port:
            stack.enter_context(metrics_ports.kept_in_files(slots))
        # Late: metrics are to be made after that. And merely importing gunicorn fails with a traceback when
        # WEB_CONCURRENCY is no number.
        from frontend.leave import Leave
        from frontend.server import Server, options

        chosen = options(bind, int(word), metrics_port)
        Server(config, chosen, Leave(drain), slots=slots, metrics_port=metrics_port).run()
