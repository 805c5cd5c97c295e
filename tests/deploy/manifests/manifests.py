"""The manifests of deploy/openshift as the tests look at them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tests.deploy.manifests.kustomize import Object, render

REPOSITORY = Path(__file__).resolve().parents[3]
OPENSHIFT = REPOSITORY / "deploy" / "openshift"
OVERLAYS = ("staging", "production")
SERVICES = ("watcher", "polling", "repo-resolver", "build-resolver", "scheduler")


@cache
def rendered(overlay: str) -> tuple[Object, ...]:
    """What an overlay deploys; not to be changed."""
    return tuple(render(OPENSHIFT / "overlays" / overlay))


@cache
def jobs() -> tuple[Object, ...]:
    """The templates of Jobs, which playbooks apply."""
    return tuple(render(OPENSHIFT / "jobs"))


@cache
def everything() -> tuple[tuple[str, Object], ...]:
    """All that can be deployed, each with a name for the test's report."""
    sources = {overlay: rendered(overlay) for overlay in OVERLAYS}
    sources |= {"jobs": jobs(), "refresh-group": tuple(render(OPENSHIFT / "refresh-group"))}
    return tuple((f"{source}/{title(one)}", one) for source, objects in sources.items() for one in objects)


def title(one: Object) -> str:
    """Kind and name."""
    return f"{one['kind']}/{one['metadata']['name']}"


def find(objects: tuple[Object, ...], kind: str, name: str) -> Object:
    """The one object of that kind and name."""
    (found,) = (one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name)
    return found


def pod_template(one: Object) -> Object | None:
    """The template of the pods that an object makes, if it makes any."""
    match one["kind"]:
        case "Deployment" | "Job":
            template: Object = one["spec"]["template"]
        case "CronJob":
            template = one["spec"]["jobTemplate"]["spec"]["template"]
        case _:
            return None
    return template


def workloads() -> list[tuple[str, Object]]:
    """All pod templates, each with a name."""
    return [(name, template) for name, one in everything() if (template := pod_template(one)) is not None]


def containers(template: Object) -> list[Object]:
    """Those of a pod, of whatever sort."""
    spec = template["spec"]
    return [*spec.get("initContainers", ()), *spec["containers"], *spec.get("ephemeralContainers", ())]


def strings(value: Any) -> Iterator[str]:
    """Every text in a value, keys included."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value
