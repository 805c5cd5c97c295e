"""gunicorn, with our settings."""

from __future__ import annotations

import gc
import os
import tempfile
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from frontend.app import POOL, create_app
from frontend.leave import Leave
from frontend.metrics_port import MetricsPort, Slots
from koschei import logs
from koschei.config import Config


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn with our settings: no configuration file, no command line of its own."""

    def __init__(
        self,
        config: Config,
        options: dict[str, Any],
        leave: Leave,
        *,
        slots: Slots | None = None,
        metrics_port: int = 0,
    ) -> None:
        """`slots` and `metrics_port` (0: none): of the metrics, as `frontend.metrics_port` prepared them."""
        self._config = config
        self._options = {**options, "when_ready": lambda _arbiter: leave.install()}
        if slots is not None:
            self._options.update(pre_fork=slots.give, post_fork=slots.take)
        self._leave = leave
        self._metrics_port = metrics_port
        super().__init__()

    def load_config(self) -> None:
        """Put our settings in place; one that this version of gunicorn does not know is left out."""
        for name, value in self._options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """The application: made in each worker, so that no database connection crosses a fork."""
        logs.configure(self._config.logging.level, self._config.logging.format, service="frontend")
        app = create_app(self._config, leaving=self._leave.begun)
        if self._metrics_port:
            app.wsgi_app = MetricsPort(app.wsgi_app, self._metrics_port)  # type: ignore[method-assign]
        # What is here now stays: looking for garbage in it again and again held a request up for a tenth of a second.
        gc.collect()
        gc.freeze()
        return app


def options(bind: str, workers: int, metrics_port: int = 0) -> dict[str, Any]:
    """gunicorn's settings; `metrics_port`, if any, is on the pages' host.

    gunicorn needs a home for its control socket, which nobody here wants: off.
    """
    shared = Path("/dev/shm")  # noqa: S108 - memory; a slow disk would stall the workers' heartbeat
    return {
        "bind": [bind, f"{_host(bind)}:{metrics_port}"] if metrics_port else bind,
        "workers": workers,
        "worker_class": "gthread",
        "threads": POOL,
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


def _host(bind: str) -> str:
    """The host of an address to listen on; all of them where it has none."""
    host, colon, _ = bind.rpartition(":")
    return host if colon and host not in ("", "unix", "fd") else "0.0.0.0"  # noqa: S104 - as asked for
