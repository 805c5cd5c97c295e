"""Reading what stands at an address that an operator chose: bounded in size and time, and only if it has changed."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import Any

import httpx

from koschei.errors import InvalidInputError, ServiceError

LARGEST = 16 * 1024 * 1024  # bytes; the owners of all of Fedora's packages are a fifth of it
PATIENCE = 60.0  # seconds for a whole answer
SILENCE = 15.0  # seconds without a byte
LONGEST_VALIDATOR = 1000


@dataclass(frozen=True)
class Version:
    """How a server names the version of what it sent (RFC 9110, 8.8): both as they stood in the headers."""

    etag: str | None = None
    last_modified: str | None = None

    def conditions(self) -> dict[str, str]:
        """Headers that ask for another version only."""
        found = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True)
class Download:
    """What was read, and which version of it."""

    data: bytes
    version: Version


def fetch(
    url: str, known: Version | None = None, *, largest: int = LARGEST, patience: float = PATIENCE
) -> Download | None:
    """What stands at an http(s) address; None when that is the version `known`. `patience`: seconds; `largest`: bytes.

    Raises InvalidInputError for an address that makes no sense, ServiceError when nothing usable comes from it.
    """
    if not re.match(r"https?://[^/?#\[]|https?://\[[0-9a-fA-F:]+\]", url):
        raise InvalidInputError(f"{url!r} is not an address that can be read: it begins with http:// or https://")
    deadline = time.monotonic() + patience
    conditions = known.conditions() if known else {}
    parts: list[bytes] = []
    try:
        with (
            httpx.Client(timeout=min(SILENCE, patience), follow_redirects=True) as client,
            client.stream("GET", url, headers={"User-Agent": "koschei", **conditions}) as response,
        ):
            if response.status_code == httpx.codes.NOT_MODIFIED and conditions:
                return None
            if response.status_code != httpx.codes.OK:
                raise ServiceError(f"{url} cannot be read: HTTP status {response.status_code}")
            size = 0
            for chunk in response.iter_bytes():
                size += len(chunk)
                if size > largest:
                    raise ServiceError(f"{url} is longer than the {largest} bytes that a list may have")
                if time.monotonic() > deadline:
                    raise ServiceError(f"{url} was not read in {patience:g} seconds: try again when it is faster")
                parts.append(chunk)
            version = Version(_validator(response, "ETag"), _validator(response, "Last-Modified"))
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise InvalidInputError(f"{url!r} is not an address that can be read: {error}") from error
    except httpx.HTTPError as error:
        raise ServiceError(f"{url} cannot be read: {error or type(error).__name__}. Try again later") from error
    return Download(b"".join(parts), version)


def decode(data: bytes, where: str) -> str:
    """Bytes as UTF-8 text. InvalidInputError when they are something else."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{where} is not UTF-8 text") from error


def json_tree(text: str, where: str) -> Any:
    """A text as JSON. InvalidInputError when it is something else."""
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InvalidInputError(f"{where} is not JSON: {error}") from error


def _validator(response: httpx.Response, header: str) -> str | None:
    """A header that is sent back later; one that could not be is as good as none."""
    value = response.headers.get(header, "")
    return value if 0 < len(value) <= LONGEST_VALIDATOR and value.isascii() and value.isprintable() else None
