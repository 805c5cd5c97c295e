"""The objects of the fake cluster, with what a real server keeps about them: versions, generations, owners."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from copy import deepcopy

from tests.deploy.ansible import patches
from tests.deploy.ansible.kinds import Kind, Object, RefusedError, check, fill_in

NAMESPACE = "koschei"
Key = tuple[str, str]


class Store:
    """Objects of one namespace, by kind and name."""

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self.owners: dict[Key, patches.Owners] = {}
        self._versions = itertools.count(1)
        self._identities = itertools.count(1)

    def get(self, kind: str, name: str) -> Object:
        """A copy of one. Errors: RefusedError when there is none."""
        try:
            return deepcopy(self.objects[kind, name])
        except KeyError:
            raise RefusedError(404, "NotFound", f"{kind} {name!r} not found") from None

    def of(self, kind: str, selector: str = "") -> list[Object]:
        """Copies of those of a kind that have these labels."""
        wanted = dict(term.split("=", 1) for term in selector.split(",") if term)
        return [
            deepcopy(one)
            for (its, _), one in sorted(self.objects.items())
            if its == kind and wanted.items() <= one["metadata"].get("labels", {}).items()
        ]

    def create(self, kind: Kind, one: Object, manager: str = "ansible") -> Object:
        """Take a new object. Errors: RefusedError."""
        key = kind.name, one["metadata"]["name"]
        if key in self.objects:
            raise RefusedError(409, "AlreadyExists", f"{key} is there already")
        new = self._put(key, None, deepcopy(one))
        patches.own(None, new, self.owners.setdefault(key, {}), manager)
        return new

    def replace(self, kind: Kind, one: Object, manager: str = "ansible") -> Object:
        """Put an object in the place of another."""
        key = kind.name, one["metadata"]["name"]
        old = self.get(*key)
        new = self._put(key, old, deepcopy(one) | ({"status": old["status"]} if "status" in old else {}))
        patches.own(old, new, self.owners.setdefault(key, {}), manager)
        return new

    def patch(self, kind: Kind, name: str, change: Object, *, strategic: bool) -> Object:
        """Change an object."""
        key = kind.name, name
        old = self.get(*key)
        new = self._put(key, old, patches.merged(old, change, strategic=strategic))
        patches.own(old, new, self.owners.setdefault(key, {}), "ansible")
        return new

    def apply(self, kind: Kind, one: Object, manager: str, *, force: bool) -> Object:
        """Server-side apply: the object becomes what the manager says, where nobody else has said something."""
        key = kind.name, one["metadata"]["name"]
        owners = deepcopy(self.owners.get(key, {}))
        new = patches.apply(self.objects.get(key), one, owners, manager, force=force)
        stored = self._put(key, self.objects.get(key), new)
        self.owners[key] = owners
        return stored

    def delete(self, kind: str, name: str) -> Object:
        """Take an object away."""
        old = self.get(kind, name)
        del self.objects[kind, name]
        self.owners.pop((kind, name), None)
        return old

    def set_status(self, kind: str, name: str, status: Object) -> None:
        """What controllers write; nothing happens when it is so already."""
        one = self.objects[kind, name]
        if one.get("status") != status:
            one["status"] = deepcopy(status)
            one["metadata"]["resourceVersion"] = str(next(self._versions))

    def _put(self, key: Key, old: Object | None, new: Object) -> Object:
        metadata = new["metadata"]
        known = old["metadata"] if old else {"uid": f"uid-{next(self._identities)}", "generation": 0}
        for name in ("uid", "generation", "resourceVersion", "creationTimestamp", "namespace"):
            metadata.pop(name, None)
            if name in known:
                metadata[name] = known[name]
        metadata.setdefault("creationTimestamp", "2026-11-22T12:00:00Z")
        metadata["namespace"] = NAMESPACE
        fill_in(new, metadata["generation"] + 1)
        check(new)
        if old is not None and new == old:
            return deepcopy(old)
        if old is None or new.get("spec") != old.get("spec"):
            metadata["generation"] += 1
        metadata["resourceVersion"] = str(next(self._versions))
        self.objects[key] = new
        return deepcopy(new)

    def final(self) -> Iterator[Object]:
        """What is there, without what depends on when and how often something was done. Pods and Jobs come and go."""
        for (kind, _), one in sorted(self.objects.items()):
            if kind not in ("Pod", "Job"):
                metadata = {key: one["metadata"].get(key) for key in ("name", "labels", "annotations")}
                yield {"kind": kind, "metadata": metadata} | {key: one[key] for key in ("spec", "data") if key in one}
