"""The kinds of objects that the fake API server knows: where they are, what is filled in, and what is refused."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import jsonschema
import kubernetes_validate

from tests.deploy.manifests import schemas

Object = dict[str, Any]

VERSION = "1.29"
"""The oldest Kubernetes that the manifests are meant for: OpenShift 4.16."""


class RefusedError(Exception):
    """A request that the server does not take: HTTP status, reason, and words."""

    def __init__(self, status: int, reason: str, words: str) -> None:
        super().__init__(words)
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class Kind:
    """A kind of objects: group and version as in `apiVersion`, name, and the plural in addresses."""

    api: str
    name: str
    plural: str
    verbs: tuple[str, ...] = ("create", "delete", "get", "list", "patch", "update")

    @property
    def path(self) -> str:
        """The beginning of its addresses."""
        return f"/{'apis' if '/' in self.api else 'api'}/{self.api}"


KINDS = (
    Kind("v1", "ConfigMap", "configmaps"),
    Kind("v1", "Pod", "pods"),
    Kind("v1", "Secret", "secrets"),
    Kind("v1", "Service", "services"),
    Kind("v1", "ServiceAccount", "serviceaccounts"),
    Kind("apps/v1", "Deployment", "deployments"),
    Kind("batch/v1", "CronJob", "cronjobs"),
    Kind("batch/v1", "Job", "jobs"),
    Kind("image.openshift.io/v1", "ImageStream", "imagestreams"),
    Kind("image.openshift.io/v1", "ImageStreamImport", "imagestreamimports", ("create",)),
    Kind("monitoring.coreos.com/v1", "PodMonitor", "podmonitors"),
    Kind("monitoring.coreos.com/v1", "PrometheusRule", "prometheusrules"),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind("route.openshift.io/v1", "Route", "routes"),
)

IMAGE_STREAM_IMPORT = schemas.table(
    ["import", "images"],
    **{
        "import": {"const": True},
        "images": schemas.items(
            schemas.table(
                ["from", "to"],
                **{
                    "from": schemas.table(["kind", "name"], kind={"const": "DockerImage"}, name={"type": "string"}),
                    "to": schemas.table(["name"], name={"type": "string"}),
                    "importPolicy": {"type": "object"},
                    "referencePolicy": schemas.table(["type"], type={"enum": ["Source", "Local"]}),
                },
            )
        ),
    },
)


def kind_named(name: str) -> Kind:
    """The kind of that name."""
    return next(kind for kind in KINDS if kind.name == name)


def check(one: Object) -> None:
    """Hold an object against the schema of its kind. Errors: RefusedError."""
    try:
        if one["kind"] == "ImageStreamImport":
            jsonschema.Draft202012Validator(IMAGE_STREAM_IMPORT).validate(one["spec"])
        elif schemas.covers(one):
            schemas.check(_as_written(one))
        else:
            kubernetes_validate.validate(one, VERSION, strict=True)
    except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
        raise RefusedError(422, "Invalid", f"{one['kind']} {one['metadata'].get('name')}: {error}") from error


def _as_written(one: Object) -> Object:
    """An object without what the server adds."""
    metadata = {key: value for key, value in one["metadata"].items() if key in ("name", "labels", "annotations")}
    spec = deepcopy(one["spec"])
    for tag in spec.get("tags", ()):
        tag.pop("generation", None)
    return {"apiVersion": one["apiVersion"], "kind": one["kind"], "metadata": metadata, "spec": spec}


def fill_in(one: Object, generation: int) -> None:
    """What the server fills in when nobody says it, as far as the playbooks could trip over it."""
    spec = one.get("spec", {})
    match one["kind"]:
        case "Deployment":
            spec.setdefault("replicas", 1)
        case "CronJob":
            spec.setdefault("suspend", False)
        case "NetworkPolicy":
            rules = [*spec.get("ingress", ()), *spec.get("egress", ())]
            for port in [port for rule in rules for port in rule.get("ports", ())]:
                port.setdefault("protocol", "TCP")
        case "Service":
            for port in spec["ports"]:
                port.setdefault("protocol", "TCP")
        case "ImageStream":
            for tag in spec.get("tags", ()):
                tag.setdefault("generation", generation)


def merge_key(kind: str, field: str, items: list[Any]) -> str | None:
    """By which field the items of a list are told apart; None for lists that are replaced as a whole."""
    if not items or not all(isinstance(item, dict) for item in items):
        return None
    keys = {
        "containers": "name",
        "env": "name",
        "volumes": "name",
        "volumeMounts": "mountPath",
        "tags": "name",
        "groups": "name",
    }
    if field == "ports":
        return {
            "Deployment": "containerPort",
            "Job": "containerPort",
            "CronJob": "containerPort",
            "Service": "port",
        }.get(kind)
    if field == "topologySpreadConstraints":
        return "topologyKey"
    return keys.get(field)
