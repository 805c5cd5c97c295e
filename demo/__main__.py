"""`python -m demo` (make demo): a whole small Koschei world on this machine, until ctrl-C. README tells more."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from demo.settings import DEFAULT_FOLDER, DemoError

FEDORA = {
    "hub": "https://koji.fedoraproject.org/kojihub",
    "topurl": "https://kojipkgs.fedoraproject.org",
    "target": "rawhide",
}


def options(arguments: list[str] | None) -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Koschei with everything around it: PostgreSQL, a Koji of its own with a sample distribution and "
        "a story, the five services, and the dashboard. Ctrl-C ends it all.",
        epilog="With somebody's Koji (--passive, or any of --hub, --topurl, --target) nothing is built: anonymous, "
        "no scheduler, everything else live.",
    )
    parser.add_argument("--once", action="store_true", help="tell the story once, print a summary as JSON, and end")
    parser.add_argument("--port", type=int, default=8080, help="port of the dashboard; 0: a free one (default 8080)")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="where everything is kept (demo/.run)")
    parser.add_argument("--patience", type=float, help="seconds after which a step of the story has stalled")
    parser.add_argument("--no-bus", action="store_true", help="do without a message bus, even if there is a RabbitMQ")
    parser.add_argument("--passive", action="store_true", help="watch Fedora's Koji, or the one named")
    parser.add_argument("--hub", metavar="URL", help=f"Koji's XML-RPC address ({FEDORA['hub']})")
    parser.add_argument("--topurl", metavar="URL", help=f"where its files are served ({FEDORA['topurl']})")
    parser.add_argument("--target", metavar="NAME", help=f"the build target to watch ({FEDORA['target']})")
    parser.add_argument("--packages", metavar="A,B,...", help="watch only these packages")
    chosen = parser.parse_args(arguments)
    if not 0 <= chosen.port <= 65535:
        parser.error(f"--port {chosen.port}: a port is a number from 0 to 65535")
    chosen.passive = chosen.passive or any((chosen.hub, chosen.topurl, chosen.target, chosen.packages))
    return chosen


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """createrepo_c's copy of librpm complains, when it is loaded, that a system without RPM has no RPM."""
    sys.stderr.flush()
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 all went as it must; 1 it did not; 2 the command line; 130 stopped by a signal."""
    chosen = options(arguments)
    try:
        with quiet():
            import demo.hub  # noqa: F401
        if chosen.passive:
            from demo import passive

            return passive.run(
                passive.Koji(*((getattr(chosen, name) or default) for name, default in FEDORA.items())),
                packages=[name for name in (chosen.packages or "").split(",") if name],
                folder=chosen.folder,
                port=chosen.port,
                once=chosen.once,
            )
        from demo import show

        return show.run(
            folder=chosen.folder, port=chosen.port, once=chosen.once, patience=chosen.patience, bus=not chosen.no_bus
        )
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception:
        traceback.print_exc()
        print("demo: this is a mistake of the demo, please report it with the lines above", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
