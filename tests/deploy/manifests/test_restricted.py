"""Every pod is one that OpenShift's restricted-v2 admits, and the checker that says so finds what is not."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest

from tests.deploy.manifests.kustomize import Object
from tests.deploy.manifests.manifests import find, pod_template, rendered, workloads
from tests.deploy.manifests.restricted import violations


@pytest.mark.parametrize(("name", "template"), workloads(), ids=[name for name, _ in workloads()])
def test_every_pod_is_restricted(name: str, template: Object) -> None:
    assert violations(template) == []


def spec(template: Object) -> Object:
    found: Object = template["spec"]
    return found


def context(template: Object) -> Object:
    found: Object = template["spec"]["containers"][0]["securityContext"]
    return found


def container(template: Object) -> Object:
    found: Object = template["spec"]["containers"][0]
    return found


def second(template: Object) -> None:
    """Another container, before the first one starts, that nobody looked at."""
    spec(template)["initContainers"] = [{"name": "second", "image": "koschei:imported"}]


BAD: list[tuple[Callable[[Object], object], str]] = [
    (lambda t: spec(t).update(hostNetwork=True), "hostNetwork is set"),
    (lambda t: spec(t).update(hostPID=True), "hostPID is set"),
    (lambda t: spec(t).update(hostIPC=True), "hostIPC is set"),
    (lambda t: spec(t).pop("securityContext"), "runAsNonRoot is not true"),
    (lambda t: spec(t)["securityContext"].update(runAsNonRoot=False), "runAsNonRoot is not true"),
    (lambda t: spec(t)["securityContext"].pop("seccompProfile"), "seccompProfile is neither"),
    (lambda t: spec(t)["securityContext"].update(seccompProfile={"type": "Unconfined"}), "seccompProfile is neither"),
    (lambda t: spec(t)["securityContext"].update(fsGroup=0), "the pod sets fsGroup"),
    (lambda t: spec(t)["securityContext"].update(sysctls=[]), "the pod sets sysctls"),
    (lambda t: spec(t).pop("automountServiceAccountToken"), "a token of the cluster's API is mounted"),
    (lambda t: spec(t).pop("serviceAccountName"), "somebody else's account"),
    (lambda t: context(t).update(runAsUser=1000), "koschei sets runAsUser"),
    (lambda t: context(t).update(seLinuxOptions={"type": "spc_t"}), "koschei sets seLinuxOptions"),
    (lambda t: context(t).pop("allowPrivilegeEscalation"), "koschei may gain privileges"),
    (lambda t: context(t).update(privileged=True), "koschei is privileged"),
    (lambda t: context(t).pop("readOnlyRootFilesystem"), "koschei can write to its image"),
    (lambda t: context(t).update(runAsNonRoot=False), "koschei may run as root"),
    (lambda t: context(t).update(procMount="Unmasked"), "koschei unmasks /proc"),
    (lambda t: context(t).update(seccompProfile={"type": "Unconfined"}), "koschei has no seccompProfile"),
    (lambda t: context(t).pop("capabilities"), "koschei keeps capabilities"),
    (lambda t: context(t)["capabilities"].update(drop=["CHOWN"]), "koschei keeps capabilities"),
    (lambda t: context(t)["capabilities"].update(add=["NET_BIND_SERVICE"]), "koschei adds capabilities"),
    (lambda t: container(t)["ports"][0].update(hostPort=8080), "koschei takes a port of the node"),
    (lambda t: container(t)["resources"]["limits"].pop("memory"), "koschei has no memory in its limits"),
    (lambda t: container(t)["resources"].pop("requests"), "koschei has no cpu in its requests"),
    (lambda t: container(t)["volumeMounts"][0].pop("readOnly"), "koschei can write to config"),
    (lambda t: container(t)["volumeMounts"][1].update(mountPath="/etc"), "koschei can write to /etc"),
    (lambda t: container(t)["volumeMounts"][1].update(name="temp"), "koschei mounts temp, which is not there"),
    (lambda t: container(t)["volumeMounts"].pop(), "volume tmp is mounted nowhere"),
    (lambda t: spec(t)["volumes"].append({"name": "x", "hostPath": {"path": "/"}}), "volume x is of the kind hostPath"),
    (lambda t: spec(t)["volumes"][0].update(emptyDir={}), "volume tmp may grow without a limit"),
    (second, "second can write to its image"),
    (second, "second keeps capabilities"),
]


@pytest.mark.parametrize(("spoil", "found"), BAD, ids=[f"{number}-{found}" for number, (_, found) in enumerate(BAD)])
def test_each_violation_is_found(spoil: Callable[[Object], object], found: str) -> None:
    template = deepcopy(pod_template(find(rendered("production"), "Deployment", "frontend")))
    assert template is not None
    spoil(template)
    assert any(found in one for one in violations(template)), violations(template)
