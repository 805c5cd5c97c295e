"""Free ports for what the demo, the tests and the benchmarks start."""

from __future__ import annotations

import random
import socket
from collections import deque

HOST = "127.0.0.1"
# Below those that the system gives to connections, and to servers that take any port (ip_local_port_range): nobody is
# given one of these between our choice and the moment that somebody listens there.
CHOICE = range(20_000, 32_768)
TRIES = 1000

_chosen: deque[int] = deque(maxlen=TRIES)
_random = random.SystemRandom()  # of several processes that choose at once, some have seeded the usual one alike


def free_port() -> int:
    """A port of the loopback interface that nobody listens on; not one that was chosen lately."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """So many of them, all different. RuntimeError when they are not found."""
    found: list[int] = []
    for port in _random.sample(CHOICE, TRIES):
        if len(found) == count:
            break
        if port not in _chosen and _is_free(port):
            found.append(port)
    if len(found) < count:
        raise RuntimeError(f"among {TRIES} ports from {CHOICE[0]} to {CHOICE[-1]} are no {count} free ones")
    _chosen.extend(found)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
