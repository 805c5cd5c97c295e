"""A real provider of OpenID Connect in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

from demo.ports import free_port
from tests.support import wait_until


@contextmanager
def knowing(people: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The provider's address; each person is claims, with `sub` to log in by."""
    port = free_port()
    options = [word for person in people for word in ("--user-claims", json.dumps(person))]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "-p", str(port), "-H", "localhost", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://localhost:{port}"
    try:
        wait_until(lambda: _answers(address), timeout=60)
        yield address
    finally:
        process.terminate()
        process.wait(60)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/.well-known/openid-configuration").status_code == 200
    except httpx.TransportError:
        return False
