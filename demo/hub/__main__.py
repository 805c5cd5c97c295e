"""Runs the stand-in by itself: `python -m demo.hub --port 8080 --topdir DIR`, until interrupted."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from . import Hub, HubServer, Timings
from .sample import build_world


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m demo.hub", description="A stand-in for a Koji hub with a tiny world."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument("--topdir", type=Path, required=True, help="directory for the hub's files")
    parser.add_argument("--quick", action="store_true", help="builds take parts of a second")
    options = parser.parse_args(arguments)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    hub = Hub(options.topdir, timings=Timings.quick() if options.quick else None)
    build_world(hub)
    with HubServer(hub, options.host, options.port) as server:
        config = options.topdir / "koji.conf"
        config.write_text(server.client_config())
        print(f"hub {server.hub_url}\nfiles {server.topurl}\nweb {server.weburl}")
        print(f"try: koji -c {config} --noauth list-tagged f43", flush=True)
        stopped.wait()
    hub.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
