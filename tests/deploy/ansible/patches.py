"""How a request changes an object: merge patches, strategic merge patches, and server-side apply with its owners."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from tests.deploy.ansible.kinds import Object, RefusedError, merge_key

Path = tuple[str, ...]
Owners = dict[str, set[Path]]
"""Which fields each manager has said: what one stops to say goes, unless another one says it too."""

SERVERS = {"status", "apiVersion", "kind"}
MISSING = object()


def merged(old: Object, change: Object, *, strategic: bool) -> Object:
    """The object after a patch: null takes away; a strategic one knows how items of lists are told apart."""
    new = deepcopy(old)
    _merge(new, change, old.get("kind", ""), strategic)
    return new


def _merge(into: Object, change: Object, kind: str, strategic: bool) -> None:
    for field, value in change.items():
        if value is None:
            into.pop(field, None)
        elif isinstance(value, dict) and isinstance(into.get(field), dict):
            _merge(into[field], value, kind, strategic)
        elif strategic and isinstance(value, list) and (key := merge_key(kind, field, value + into.get(field, []))):
            into[field] = _merge_items(into.get(field, []), value, key, kind)
        else:
            into[field] = deepcopy(value)


def _merge_items(old: list[Object], new: list[Object], key: str, kind: str) -> list[Object]:
    """As the real server does for applied objects: what is said comes first, in its order."""
    rest = {item[key]: deepcopy(item) for item in old}
    items = []
    for item in new:
        known = rest.pop(item[key], {})
        _merge(known, item, kind, True)
        items.append(known)
    return items + list(rest.values())


def leaves(value: Any, kind: str, path: Path = (), field: str = "") -> dict[Path, Any]:
    """The fields of an object, each with the way to it and what is there."""
    if isinstance(value, dict) and value:
        inner = {key: item for key, item in value.items() if path or key not in SERVERS}
        if path == ("metadata",):
            inner = {key: item for key, item in inner.items() if key in ("labels", "annotations")}
        return {way: leaf for key, item in inner.items() for way, leaf in leaves(item, kind, (*path, key), key).items()}
    if isinstance(value, list) and (by := merge_key(kind, field, value)):
        found: dict[Path, Any] = {}
        for item in value:
            found |= leaves(item, kind, (*path, f"{by}={item[by]}"))
        return found
    return {path: value}


def apply(old: Object | None, said: Object, owners: Owners, manager: str, *, force: bool) -> Object:
    """The object after `manager` has applied what it says; `owners` is brought up to date.

    Errors: RefusedError, a conflict, when somebody else owns a field with another value.
    """
    kind = said["kind"]
    wanted, there = leaves(said, kind), leaves(old or {}, kind)
    for other, fields in owners.items():
        if other != manager:
            taken = {path for path in fields & set(wanted) if there.get(path, MISSING) != wanted[path]}
            if taken and not force:
                raise RefusedError(409, "Conflict", f"{other} owns {sorted('.'.join(path) for path in taken)}")
            fields -= taken
    new = merged(old or {}, said, strategic=True)
    others = {path for other, fields in owners.items() if other != manager for path in fields}
    for path in owners.get(manager, set()) - set(wanted) - others:
        _remove(new, path)
    owners[manager] = set(wanted)
    return new


def _remove(value: Any, path: Path) -> None:
    """Take a field away, and what is empty without it."""
    step, *rest = path
    if isinstance(value, list):
        by, _, name = step.partition("=")
        item = next((item for item in value if str(item.get(by)) == name), None)
        if item is None:
            return
        if rest and rest != [by]:
            _remove(item, tuple(rest))
        else:
            value.remove(item)
        return
    if step not in value:
        return
    if not rest:
        del value[step]
        return
    _remove(value[step], tuple(rest))
    if value[step] in ({}, []):
        del value[step]


def own(old: Object | None, new: Object, owners: Owners, manager: str) -> None:
    """After a patch or a replacement: what was changed belongs to `manager` alone."""
    before, after = leaves(old or {}, new["kind"]), leaves(new, new["kind"])
    changed = {path for path, value in after.items() if before.get(path, MISSING) != value}
    for fields in owners.values():
        fields -= changed | (set(before) - set(after))
    owners.setdefault(manager, set()).update(changed)
