"""Runs a command that ends when its parent dies, however that happens: `python leash.py PARENT_PID COMMAND...`.

A script by itself, started before the command with nothing else loaded: subprocess's preexec_fn is not safe in a
process with threads. On systems without prctl the command simply runs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Never returns."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    except (AttributeError, OSError) as error:
        print(f"{command[0]} will not notice when the demo is killed: {error}", file=sys.stderr)
    if os.getppid() != parent:
        sys.exit(f"{command[0]} is not started: whoever wanted it is gone")
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
