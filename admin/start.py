"""What the installed script runs first: until the command line is loaded, a signal ends the process without a word."""

from __future__ import annotations

import signal


def main() -> None:
    """Load `admin.main`, which takes some tenths of a second, and run it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own handler would print where it happened to be
    from admin.main import main as run

    run()
