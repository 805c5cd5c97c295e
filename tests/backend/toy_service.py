"""A service for tests of the frame, in a process of its own: `toy_service.py URL HEALTH_PORT INTERVAL BEHAVIOUR`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from sqlalchemy import text

from backend.frame import Context, PassReport, Runner, Service
from koschei import logs
from koschei.config import Config

NUMBER = 99


def prepare(context: Context) -> Callable[[], PassReport]:
    """A pass that works, waits inside of PostgreSQL, or goes on computing, as the command line says."""
    behaviour = sys.argv[4]

    def one_pass() -> PassReport:
        with context.database.begin() as session:
            session.execute(text("SELECT 1"))
        print("pass", flush=True)
        if behaviour == "waits-in-postgresql":
            with context.database.begin() as session:
                session.execute(text("SELECT pg_sleep(600)"))
        while behaviour == "polite" and not context.stopping():
            time.sleep(0.01)
        while behaviour == "deaf":
            time.sleep(0.01)
        return PassReport({"pid": os.getpid()})

    return one_pass


def main() -> None:
    """Run until stopped."""
    url, port, interval = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    logs.configure("INFO", "json", service="scheduler")
    settings = {"interval": interval, "health_host": "127.0.0.1", "health_port": port}
    config = Config.model_validate({"db_url": url, "services": {"scheduler": settings}})
    Runner(Service("scheduler", NUMBER, prepare), config).run()


if __name__ == "__main__":
    main()
