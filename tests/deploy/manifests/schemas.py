"""JSON schemas of the kinds that Kubernetes does not bring, as far as we use them: what is not here is refused.

Written after the public API types: openshift/api (route/v1, image/v1) and prometheus-operator (monitoring/v1).
"""

from __future__ import annotations

from typing import Any

import jsonschema

from tests.deploy.manifests.kustomize import Object

Schema = dict[str, Any]

NAME = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
HOST = {
    "type": "string",
    "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$",
    "maxLength": 253,
}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
DURATION = {"type": "string", "pattern": r"^([0-9]+(ms|[smhdwy]))+$"}
METRIC_LABEL = {"type": "string", "pattern": r"^[a-zA-Z_][a-zA-Z0-9_]*$"}


def table(required: list[str], /, **properties: Any) -> Schema:
    """A table with these fields and no others."""
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


def items(of: Schema) -> Schema:
    """A list of at least one."""
    return {"type": "array", "minItems": 1, "items": of}


METADATA = table(["name", "labels"], name=NAME, labels=TEXTS, annotations=TEXTS)
SELECTOR = {
    **table(
        [],
        matchLabels=TEXTS,
        matchExpressions=items(
            table(
                ["key", "operator"],
                key={"type": "string"},
                operator={"enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
                values=items({"type": "string"}),
            )
        ),
    ),
    "minProperties": 1,
}

ROUTE = table(
    ["to"],
    host=HOST,
    path={"type": "string", "pattern": "^/"},
    to=table(
        ["kind", "name"], kind={"const": "Service"}, name=NAME, weight={"type": "integer", "minimum": 0, "maximum": 256}
    ),
    port=table(["targetPort"], targetPort={"type": ["string", "integer"]}),
    tls=table(
        ["termination"],
        termination={"enum": ["edge", "passthrough", "reencrypt"]},
        insecureEdgeTerminationPolicy={"enum": ["None", "Allow", "Redirect"]},
    ),
    wildcardPolicy={"enum": ["None", "Subdomain"]},
)
IMAGE_STREAM = table(
    [],
    lookupPolicy=table(["local"], local={"type": "boolean"}),
    tags=items(
        table(
            ["name", "from"],
            **{
                "name": {"type": "string", "pattern": r"^[\w][\w.-]{0,127}$"},
                "from": table(
                    ["kind", "name"],
                    kind={"enum": ["DockerImage", "ImageStreamTag", "ImageStreamImage"]},
                    name={"type": "string", "pattern": r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+[:@][\w.:-]+$"},
                ),
                "importPolicy": table(
                    [],
                    insecure={"type": "boolean"},
                    scheduled={"type": "boolean"},
                    importMode={"enum": ["Legacy", "PreserveOriginal"]},
                ),
                "referencePolicy": table(["type"], type={"enum": ["Source", "Local"]}),
            },
        )
    ),
)
POD_MONITOR = table(
    ["podMetricsEndpoints", "selector"],
    selector=SELECTOR,
    podTargetLabels=items({"type": "string"}),
    podMetricsEndpoints=items(
        table(
            ["port"],
            port={"type": "string"},
            path={"type": "string", "pattern": "^/"},
            scheme={"enum": ["http", "https"]},
            interval=DURATION,
            scrapeTimeout=DURATION,
            honorLabels={"type": "boolean"},
        )
    ),
)
PROMETHEUS_RULE = table(
    ["groups"],
    groups=items(
        table(
            ["name", "rules"],
            name={"type": "string", "minLength": 1},
            interval=DURATION,
            rules=items(
                table(
                    ["alert", "expr"],
                    **{
                        "alert": {"type": "string", "pattern": "^[A-Z][A-Za-z0-9]+$"},
                        "expr": {"type": "string", "minLength": 1},
                        "for": DURATION,
                        "labels": {**TEXTS, "propertyNames": METRIC_LABEL},
                        "annotations": {**TEXTS, "propertyNames": METRIC_LABEL},
                    },
                )
            ),
        )
    ),
)
KINDS = {
    ("route.openshift.io/v1", "Route"): ROUTE,
    ("image.openshift.io/v1", "ImageStream"): IMAGE_STREAM,
    ("monitoring.coreos.com/v1", "PodMonitor"): POD_MONITOR,
    ("monitoring.coreos.com/v1", "PrometheusRule"): PROMETHEUS_RULE,
}


def covers(one: Object) -> bool:
    """Whether there is a schema of ours for this kind."""
    return (one["apiVersion"], one["kind"]) in KINDS


def check(one: Object) -> None:
    """Compare an object with the schema of its kind. Errors: jsonschema.ValidationError."""
    spec = KINDS[one["apiVersion"], one["kind"]]
    whole = table(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"type": "string"},
        kind={"type": "string"},
        metadata=METADATA,
        spec=spec,
    )
    jsonschema.Draft202012Validator(whole).validate(one)
