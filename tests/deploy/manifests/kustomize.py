"""Renders a kustomization as `kubectl kustomize` does, for the features that deploy/openshift uses and no others.

So the manifests are tested where there is no kubectl; where there is one, a test holds the two equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]

KNOWN = {"apiVersion", "kind", "resources", "patches", "labels", "replicas"}
# By which field the items of a list are told apart, after the API's own rules; other lists are replaced as a whole.
MERGE_KEYS = {
    "containers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
}


class UnknownFeatureError(Exception):
    """Something that this renderer does not do: teach it, or do without."""


def render(folder: Path) -> list[Object]:
    """The objects of the kustomization in `folder`."""
    plan = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if unknown := set(plan) - KNOWN:
        raise UnknownFeatureError(f"{folder / 'kustomization.yaml'}: {sorted(unknown)}")
    objects = [found for name in plan["resources"] for found in _resource(folder / name)]
    for patch in plan.get("patches", ()):
        _patch(objects, folder, patch)
    for addition in plan.get("labels", ()):
        _label(objects, addition)
    for wanted in plan.get("replicas", ()):
        (scaled,) = (
            one for one in objects if one["kind"] == "Deployment" and one["metadata"]["name"] == wanted["name"]
        )
        scaled["spec"]["replicas"] = wanted["count"]
    return objects


def _resource(path: Path) -> list[Object]:
    if path.is_dir():
        return render(path)
    return list(documents(path))


def documents(path: Path) -> Iterator[Object]:
    """The objects in a file."""
    yield from yaml.safe_load_all(path.read_text())


def _patch(objects: list[Object], folder: Path, patch: Object) -> None:
    if unknown := set(patch) - {"path", "target"}:
        raise UnknownFeatureError(f"{folder}: a patch with {sorted(unknown)}")
    (change,) = documents(folder / patch["path"])
    named = {"kind": change["kind"], "name": re.escape(change["metadata"]["name"])}
    target = patch.get("target", named)
    if unknown := set(target) - {"kind", "name"}:
        raise UnknownFeatureError(f"{folder}: a target with {sorted(unknown)}")
    chosen = [
        one
        for one in objects
        if one["kind"] == target["kind"] and re.fullmatch(target.get("name", ".*"), one["metadata"]["name"])
    ]
    if not chosen:
        raise UnknownFeatureError(f"{folder / patch['path']}: changes nothing")
    for one in chosen:
        # Its name and kind only say what it is for.
        merge(one, {key: deepcopy(value) for key, value in change.items() if key not in ("metadata", "kind")})


def merge(into: Object, change: Object) -> None:
    """A strategic merge: tables key by key, lists of named things by their names, all else replaced."""
    for key, value in change.items():
        if value is None or (isinstance(value, dict) and any(name.startswith("$") for name in value)):
            raise UnknownFeatureError(f"a patch that takes {key!r} away")
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        elif key in MERGE_KEYS and isinstance(value, list) and key in into:
            into[key] = _merged(into[key], value, MERGE_KEYS[key])
        else:
            into[key] = value


def _merged(old: list[Object], new: list[Object], by: str) -> list[Object]:
    """What the change names comes first, in its order."""
    rest = {one[by]: one for one in old}
    merged = []
    for one in new:
        known = rest.pop(one[by], {})
        merge(known, one)
        merged.append(known)
    return merged + list(rest.values())


def _label(objects: list[Object], addition: Object) -> None:
    if set(addition) != {"pairs", "includeTemplates"} or addition["includeTemplates"] is not True:
        raise UnknownFeatureError(f"labels with {sorted(addition)}")
    for one in objects:
        for metadata in all_metadata(one):
            metadata.setdefault("labels", {}).update(addition["pairs"])


def all_metadata(one: Object) -> Iterator[Object]:
    """The metadata of an object, and of the objects that are made from the templates in it."""
    yield one["metadata"]
    match one["kind"]:
        case "Deployment" | "Job":
            yield one["spec"]["template"].setdefault("metadata", {})
        case "CronJob":
            job = one["spec"]["jobTemplate"]
            yield job.setdefault("metadata", {})
            yield job["spec"]["template"].setdefault("metadata", {})
