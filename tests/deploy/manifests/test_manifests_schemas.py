"""Every object is what the API takes: by Kubernetes' schemas, and by ours for the kinds of OpenShift and Prometheus."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from tests.deploy.manifests import schemas
from tests.deploy.manifests.kustomize import Object
from tests.deploy.manifests.manifests import everything, find, rendered

# The oldest that the manifests are meant for (OpenShift 4.16), and the newest that there are schemas of.
VERSIONS = ("1.29", kubernetes_validate.latest_version())
OURS = [(name, one) for name, one in everything() if schemas.covers(one)]
KUBERNETES = [(name, one) for name, one in everything() if not schemas.covers(one)]


@pytest.mark.parametrize(("name", "one"), KUBERNETES, ids=[name for name, _ in KUBERNETES])
def test_kubernetes_takes_it(name: str, one: Object) -> None:
    for version in VERSIONS:
        kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize(("name", "one"), OURS, ids=[name for name, _ in OURS])
def test_the_other_apis_take_it(name: str, one: Object) -> None:
    schemas.check(one)


def test_each_kind_of_ours_is_used() -> None:
    assert {(one["apiVersion"], one["kind"]) for _, one in OURS} == set(schemas.KINDS)


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    wrong = deepcopy(find(rendered("production"), "Deployment", "frontend"))
    wrong["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


WRONG = [
    ("Route", "frontend", ["tls", "termination"], "Edge"),
    ("Route", "frontend", ["tls", "insecureEdgeTerminationPolicy"], "redirect"),
    ("Route", "frontend", ["host"], "not a host"),
    ("Route", "frontend", ["to", "kind"], "Deployment"),
    ("Route", "frontend", ["ports"], []),
    ("ImageStream", "koschei", ["tags", 0, "from", "kind"], "Docker"),
    ("ImageStream", "koschei", ["tags", 0, "from", "name"], "koschei"),
    ("ImageStream", "koschei", ["tags", 0, "importPolicy", "schedule"], False),
    ("PodMonitor", "services", ["podMetricsEndpoints", 0, "interval"], "half a minute"),
    ("PodMonitor", "services", ["podMetricsEndpoints", 0, "targetPort"], 8081),
    ("PodMonitor", "services", ["selector"], {}),
    ("PrometheusRule", "koschei", ["groups", 0, "rules", 0, "for"], "15 m"),
    ("PrometheusRule", "koschei", ["groups", 0, "rules", 0, "expression"], "up"),
    ("PrometheusRule", "koschei", ["groups", 0, "rules", 0, "labels", "a-b"], "c"),
]


@pytest.mark.parametrize(("kind", "name", "path", "value"), WRONG, ids=lambda value: str(value))
def test_our_schemas_refuse_what_is_wrong(kind: str, name: str, path: list[Any], value: Any) -> None:
    wrong = deepcopy(find(rendered("production"), kind, name))
    schemas.check(wrong)
    inner = wrong["spec"]
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        schemas.check(wrong)
