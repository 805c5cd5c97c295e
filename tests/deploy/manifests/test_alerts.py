"""Alerts rest on metrics that exist, and say what the operations guide says."""

from __future__ import annotations

import re

import pytest
import yaml
from prometheus_client import REGISTRY

import backend.metrics  # noqa: F401 - registers metrics, as the next one
import frontend.metrics  # noqa: F401
from tests.deploy.manifests import promql
from tests.deploy.manifests.kustomize import Object
from tests.deploy.manifests.manifests import OPENSHIFT, REPOSITORY, SERVICES, find, rendered

# What the rules use of others' metrics, with the labels they use: Prometheus' own, and kube-state-metrics'.
OTHERS = {"up": {"pod"}, "kube_deployment_status_replicas_unavailable": {"deployment"}}
UNITS = {"minutes": "m", "minute": "m", "hours": "h", "hour": "h"}
# Stopped on purpose when builds are suspended: no alert for that.
MAY_STOP = {"scheduler"}


def rules() -> list[Object]:
    (group,) = find(rendered("production"), "PrometheusRule", "koschei")["spec"]["groups"]
    found: list[Object] = group["rules"]
    return found


def own_metrics() -> dict[str, set[str]]:
    """The names under which Prometheus keeps our metrics, and their labels."""
    known = {}
    for collector in {id(one): one for one in REGISTRY._names_to_collectors.values()}.values():
        labels = set(getattr(collector, "_labelnames", ()))
        for family in collector.describe() if hasattr(collector, "describe") else ():
            names = {
                "counter": [f"{family.name}_total"],
                "histogram": [f"{family.name}_{part}" for part in ("bucket", "sum", "count")],
            }.get(family.type, [family.name])
            known |= {name: labels for name in names if name.startswith("koschei_")}
    return known


def guide() -> dict[str, tuple[str, str]]:
    """Expression and duration of each alert in the guide."""
    text = (REPOSITORY / "docs" / "operations.md").read_text()
    row = re.compile(r"^\| `(Koschei\w+)` \| `([^`]+)`, (\d+) (\w+) \|", re.MULTILINE)
    return {name: (expression, number + UNITS[unit]) for name, expression, number, unit in row.findall(text)}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: f"{rule['alert']}-{rule['labels'].get('service', '')}")
def test_an_alert_names_metrics_and_labels_that_exist(rule: Object) -> None:
    known = own_metrics() | OTHERS
    found = promql.names(rule["expr"])
    assert found.metrics
    assert found.metrics <= set(known)
    grouped = found.labels.pop("", set())
    for metric in found.metrics:
        assert found.labels.get(metric, set()) | grouped <= known[metric], metric


def test_alerts_and_guide_are_the_same() -> None:
    written = guide()
    assert {rule["alert"] for rule in rules()} == set(written)
    for rule in rules():
        expression, duration = written[rule["alert"]]
        service = rule["labels"].get("service", "")
        assert rule["expr"] == expression.replace("SERVICE", service)
        assert rule["for"] == duration


def test_every_service_that_may_not_stop_is_missed_when_it_does() -> None:
    missed = {rule["labels"]["service"] for rule in rules() if rule["alert"] == "KoscheiServiceDown"}
    assert missed == set(SERVICES) - MAY_STOP


def test_alerts_say_how_bad_it_is_and_what_it_is() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        labels = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert labels <= {"service"}


def test_the_metrics_are_collected_under_their_own_labels() -> None:
    """A ServiceMonitor would rename our label `service`."""
    kinds = {one["kind"] for one in rendered("production") if one["apiVersion"].startswith("monitoring.coreos.com")}
    assert kinds == {"PodMonitor", "PrometheusRule"}
    monitors = list(yaml.safe_load_all((OPENSHIFT / "base" / "monitoring.yaml").read_text()))
    assert all(monitor["spec"]["podMetricsEndpoints"] for monitor in monitors)


def test_names_are_found_in_an_expression() -> None:
    found = promql.names(
        'sum by (service) (rate(koschei_x_total{outcome!="a}b",pod=~"w-.+"}[5m])) > 1 unless on (job) up'
    )
    assert found.metrics == {"koschei_x_total", "up"}
    assert found.labels == {"": {"service", "job"}, "koschei_x_total": {"outcome", "pod"}}


@pytest.mark.parametrize(
    "wrong",
    ["sum(up", "sum up)", "rate(up[5 minutes])", "median(up)", "up{pod}", "up > 1 # comment", 'up{pod="x"', "(up}"],
)
def test_an_expression_that_is_not_understood_is_refused(wrong: str) -> None:
    with pytest.raises(promql.NotUnderstoodError):
        promql.names(wrong)
