"""Where the content of groups comes from: lists of package names in text, at an address, in a distgit's owners."""

from __future__ import annotations

from koschei.downloads import LARGEST, PATIENCE, decode, fetch, json_tree
from koschei.errors import InvalidInputError
from koschei.groups import NAME

SHOWN = 5


def parse_names(text: str, where: str) -> list[str]:
    """Package names out of a JSON list, or of text that separates them by white space (`#` begins a comment).

    Sorted, each once. InvalidInputError names what cannot be a package's name; `where` says what was read.
    """
    if text.lstrip().startswith("["):
        found = json_tree(text, where)
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
    tree = json_tree(text, where)
    packages = tree.get("rpms") if isinstance(tree, dict) else None
    if not isinstance(packages, dict):
        raise InvalidInputError(f'{where} does not list owners of packages: there is no "rpms" in it')
    found = [name for name, owners in packages.items() if isinstance(owners, list) and owner in owners]
    return sorted(name for name in found if NAME.fullmatch(name))


def download(url: str, *, largest: int = LARGEST, patience: float = PATIENCE) -> str:
    """The text at an http(s) address. Errors as koschei.downloads.fetch, InvalidInputError for what is no text."""
    found = fetch(url, largest=largest, patience=patience)
    assert found is not None, "only who names a version can hear that there is no other"
    return decode(found.data, url)
