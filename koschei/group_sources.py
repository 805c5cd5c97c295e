"""Where the content of groups comes from: lists of package names in text, at an address, in a distgit's owners."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import httpx

from koschei.errors import InvalidInputError, ServiceError
from koschei.groups import NAME

LARGEST = 16 * 1024 * 1024  # bytes; the owners of all of Fedora's packages are a fifth of it
PATIENCE = 60.0  # seconds for a whole answer
SILENCE = 15.0  # seconds without a byte
SHOWN = 5


def parse_names(text: str, where: str) -> list[str]:
    """Package names out of a JSON list, or of text that separates them by white space (`#` begins a comment).

    Sorted, each once. InvalidInputError names what cannot be a package's name; `where` says what was read.
    """
    if text.lstrip().startswith("["):
        found = _json(text, where)
    else:
        found = [word for line in text.splitlines() for word in line.partition("#")[0].split()]
    wrong = [item for item in found if not isinstance(item, str) or not NAME.fullmatch(item)]
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise InvalidInputError(
            f"Invalid package list in {where}: {', '.join(repr(item)[:60] for item in wrong[:SHOWN])}{more}. "
            "Names are needed, one a line or as a JSON list"
        )
    return sorted(set(found))


def parse_distgit(text: str, owner: str, where: str) -> list[str]:
    """Names of the source packages that `owner` (a user, or `@` and a group) has in a distgit's `pagure_bz.json`.

    The file says for each namespace (`rpms`, `container`, ...) and repository who is told of its bugs.
    """
    tree = _json(text, where)
    packages = tree.get("rpms") if isinstance(tree, dict) else None
    if not isinstance(packages, dict):
        raise InvalidInputError(f'{where} does not list owners of packages: there is no "rpms" in it')
    found = [name for name, owners in packages.items() if isinstance(owners, list) and owner in owners]
    return sorted(name for name in found if NAME.fullmatch(name))


def download(url: str, *, largest: int = LARGEST, patience: float = PATIENCE) -> str:
    """The text at an http(s) address. `patience`: seconds; `largest`: bytes.

    Raises InvalidInputError for an address that makes no sense, ServiceError when nothing usable comes from it.
    """
    if not re.match(r"https?://[^/?#\[]|https?://\[[0-9a-fA-F:]+\]", url):
        raise InvalidInputError(f"{url!r} is not an address that can be read: it begins with http:// or https://")
    deadline = time.monotonic() + patience
    parts: list[bytes] = []
    try:
        with (
            httpx.Client(timeout=min(SILENCE, patience), follow_redirects=True) as client,
            client.stream("GET", url, headers={"User-Agent": "koschei"}) as response,
        ):
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
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise InvalidInputError(f"{url!r} is not an address that can be read: {error}") from error
    except httpx.HTTPError as error:
        raise ServiceError(f"{url} cannot be read: {error or type(error).__name__}. Try again later") from error
    return decode(b"".join(parts), url)


def decode(data: bytes, where: str) -> str:
    """Bytes as UTF-8 text. InvalidInputError when they are something else."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{where} is not UTF-8 text") from error


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InvalidInputError(f"{where} is not JSON: {error}") from error
