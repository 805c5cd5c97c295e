"""Who may talk to whom: everything is forbidden, and what is allowed is what the components do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.deploy.manifests.kustomize import Object
from tests.deploy.manifests.manifests import SERVICES, find, rendered, workloads

COMPONENT = "app.kubernetes.io/component"
DNS, POSTGRESQL, KOJI, BUS = {53, 5353}, {5432}, {80, 88, 443}, {5671}


def policies() -> list[Object]:
    return [one for one in rendered("production") if one["kind"] == "NetworkPolicy"]


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a selector of pods or namespaces means these labels."""
    assert set(selector) <= {"matchLabels", "matchExpressions"}
    for one in selector.get("matchExpressions", ()):
        assert one["operator"] == "In"
        if labels.get(one["key"]) not in one["values"]:
            return False
    return selector.get("matchLabels", {}).items() <= labels.items()


def components() -> dict[str, dict[str, str]]:
    """The labels of each component's pods."""
    found = {}
    for _, template in workloads():
        labels = template["metadata"]["labels"]
        found[labels[COMPONENT]] = labels
    return found


def allowed(component: str, direction: str) -> list[tuple[Any, Any]]:
    """Peer and port of everything that is allowed to the pods of a component."""
    labels = components()[component]
    other = "to" if direction == "egress" else "from"
    rules = [
        rule
        for policy in policies()
        if selects(policy["spec"]["podSelector"], labels)
        for rule in policy["spec"].get(direction, ())
    ]
    return [(peer, port["port"]) for rule in rules for peer in rule.get(other, [None]) for port in rule["ports"]]


def test_everything_is_forbidden_first() -> None:
    everything = find(rendered("production"), "NetworkPolicy", "deny-all")["spec"]
    assert everything == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in policies():
        spec = policy["spec"]
        # A direction that is not named in policyTypes would not be what its rules say.
        assert {kind.lower() for kind in spec["policyTypes"]} >= {"ingress", "egress"} & set(spec)
        assert all(rule.get("ports") for kind in ("ingress", "egress") for rule in spec.get(kind, ()))


@pytest.mark.parametrize("component", sorted(components()))
def test_a_component_gets_out_to_what_it_needs(component: str) -> None:
    expected = DNS | POSTGRESQL
    if component in (*SERVICES, "admin", "refresh-group"):
        expected |= KOJI
    if component in ("watcher", "admin"):
        expected |= BUS
    if component == "frontend":
        expected |= {443}  # the provider that knows who people are
    assert {port for _, port in allowed(component, "egress")} == expected


@pytest.mark.parametrize("component", sorted(components()))
def test_a_component_is_reached_by_whom_it_serves(component: str) -> None:
    routers = {"policy-group.network.openshift.io/ingress": ""}
    prometheus = [
        {"kubernetes.io/metadata.name": name} for name in ("openshift-monitoring", "openshift-user-workload-monitoring")
    ]
    strangers = [{}, {"kubernetes.io/metadata.name": "somebody"}]
    rules = allowed(component, "ingress")

    def reaches(namespace: dict[str, str], port: str) -> bool:
        return any(selects(peer["namespaceSelector"], namespace) and port == it for peer, it in rules)

    assert reaches(routers, "http") is (component == "frontend")
    assert not any(reaches(routers, port) for port in ("health", "metrics"))
    assert [reaches(one, "metrics") for one in prometheus] == [component == "frontend"] * 2
    assert [reaches(one, "health") for one in prometheus] == [component in SERVICES] * 2
    assert not any(reaches(one, port) for one in strangers for port in ("http", "health", "metrics"))


def test_prometheus_looks_for_metrics_where_it_is_let_in() -> None:
    for monitor, expected in (("services", set(SERVICES)), ("frontend", {"frontend"})):
        selector = find(rendered("production"), "PodMonitor", monitor)["spec"]["selector"]
        assert {name for name, labels in components().items() if selects(selector, labels)} == expected
