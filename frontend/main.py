"""`koschei-frontend`: the pages and the API, served by gunicorn."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import click
from flask import Flask
from gunicorn.app.base import BaseApplication

from frontend.app import create_app
from koschei import config as koschei_config
from koschei import logs
from koschei.config import Config
from koschei.errors import ConfigError

THREADS = 8
"""Requests that a worker process answers at once; its pool has as many database connections at most."""


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn with our settings: no configuration file, no command line of its own."""

    def __init__(self, config: Config, options: dict[str, Any]) -> None:
        self._config = config
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        """Put our settings in place; one that this version of gunicorn does not know is left out."""
        for name, value in self._options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """The application: made in each worker, so that no database connection crosses a fork."""
        logs.configure(self._config.logging.level, self._config.logging.format, service="frontend")
        return create_app(self._config)


def options(bind: str, workers: int) -> dict[str, Any]:
    """gunicorn's settings. It needs a home for its control socket, which nobody here wants: off."""
    shared = Path("/dev/shm")  # noqa: S108 - memory; a slow disk would stall the workers' heartbeat
    return {
        "bind": bind,
        "workers": workers,
        "worker_class": "gthread",
        "threads": THREADS,
        "worker_tmp_dir": str(shared) if os.access(shared, os.W_OK | os.X_OK) else tempfile.gettempdir(),
        "timeout": 60,
        "graceful_timeout": 30,
        "keepalive": 15,
        "max_requests": 20000,
        "max_requests_jitter": 2000,
        "accesslog": None,
        "errorlog": "-",
        "loglevel": "info",
        "control_socket_disable": True,
    }


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
    logs.configure(config.logging.level, config.logging.format, service="frontend")
    Server(config, options(bind, int(word))).run()
