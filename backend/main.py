"""koschei-backend: runs one service until it is told to stop."""

from __future__ import annotations

import importlib
import sys

import click

from backend.frame import Runner, Service
from koschei import logs
from koschei.config import load
from koschei.db import schema
from koschei.errors import ConfigError

SERVICES = {
    "watcher": "backend.watcher",
    "polling": "backend.polling",
    "repo-resolver": "backend.repo_resolver",
    "build-resolver": "backend.build_resolver",
    "scheduler": "backend.scheduler",
}


def service(name: str) -> Service:
    """The service of that name; its module is loaded only when it is asked for."""
    found: Service = importlib.import_module(SERVICES[name]).SERVICE
    return found


@click.command(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: KOSCHEI_CONFIG=/etc/koschei koschei-backend scheduler",
)
@click.argument("name", metavar="SERVICE", type=click.Choice(sorted(SERVICES)))
@click.option("-d", "--debug", is_flag=True, help="Log everything but SQL.")
@click.option("-s", "--debug-sql", is_flag=True, help="Log each SQL statement, with its parameters.")
def main(name: str, debug: bool, debug_sql: bool) -> None:
    """Run a backend SERVICE: build-resolver, polling, repo-resolver, scheduler or watcher.

    Configuration comes from KOSCHEI_CONFIG (files or folders, default /etc/koschei). SIGTERM stops it cleanly.
    Exit status: 2 the settings are wrong; 3 the database's tables are not those that this version needs.
    """
    try:
        config = load()
        level = "DEBUG" if debug else config.logging.level
        logs.configure(level, config.logging.format, service=name, sql=debug_sql)
        runner = Runner(service(name), config)
        hindrance = schema.hindrance(config.database_url())
    except ConfigError as error:
        click.echo(f"koschei-backend: {error}", err=True)
        sys.exit(2)
    if hindrance is not None:
        click.echo(f"koschei-backend: {hindrance}", err=True)
        sys.exit(3)
    runner.run()


if __name__ == "__main__":
    main()
