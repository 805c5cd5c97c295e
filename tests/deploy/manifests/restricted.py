"""What OpenShift's restricted-v2 asks of a pod, and what Koschei asks of itself on top.

After the Pod Security Standards' level "restricted" and the security context constraint of that name: nobody chooses a
user, a group or SELinux labels, the project's ranges do.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.deploy.manifests.kustomize import Object
from tests.deploy.manifests.manifests import containers

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
HOST = ("hostNetwork", "hostPID", "hostIPC")
CHOSEN_BY_THE_PROJECT = ("runAsUser", "runAsGroup", "fsGroup", "supplementalGroups", "seLinuxOptions")
NEVER = ("windowsOptions", "sysctls", "appArmorProfile")
# Where an empty folder may stand: all that our programs write to.
WRITABLE = {"/tmp", "/var/cache/koschei"}


def violations(template: Object) -> list[str]:
    """What is wrong with a pod template; nothing, if the list is empty."""
    return [*_pod(template["spec"]), *_volumes(template), *(x for one in containers(template) for x in _container(one))]


def _pod(spec: Object) -> Iterator[str]:
    for name in HOST:
        if spec.get(name):
            yield f"{name} is set"
    if spec.get("hostUsers") is False and spec.get("hostNetwork"):
        yield "hostUsers and hostNetwork contradict each other"
    context = spec.get("securityContext", {})
    if context.get("runAsNonRoot") is not True:
        yield "runAsNonRoot is not true"
    if context.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "seccompProfile is neither RuntimeDefault nor Localhost"
    yield from _chosen(context, "the pod")
    if spec.get("automountServiceAccountToken") is not False:
        yield "a token of the cluster's API is mounted"
    if spec.get("serviceAccountName") != "koschei":
        yield "it runs under somebody else's account"


def _chosen(context: Object, who: str) -> Iterator[str]:
    for name in (*CHOSEN_BY_THE_PROJECT, *NEVER):
        if name in context:
            yield f"{who} sets {name}"


def _container(one: Object) -> Iterator[str]:
    who = one["name"]
    context = one.get("securityContext", {})
    yield from _chosen(context, who)
    if context.get("allowPrivilegeEscalation") is not False:
        yield f"{who} may gain privileges"
    if context.get("privileged"):
        yield f"{who} is privileged"
    if context.get("readOnlyRootFilesystem") is not True:
        yield f"{who} can write to its image"
    if context.get("runAsNonRoot", True) is not True:
        yield f"{who} may run as root"
    if context.get("procMount", "Default") != "Default":
        yield f"{who} unmasks /proc"
    if context.get("seccompProfile", {"type": "RuntimeDefault"}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield f"{who} has no seccompProfile"
    capabilities = context.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", ()):
        yield f"{who} keeps capabilities"
    if capabilities.get("add"):
        yield f"{who} adds capabilities"
    if any("hostPort" in port for port in one.get("ports", ())):
        yield f"{who} takes a port of the node"
    resources = one.get("resources", {})
    for kind in ("requests", "limits"):
        for what in ("cpu", "memory", "ephemeral-storage"):
            if what not in resources.get(kind, {}):
                yield f"{who} has no {what} in its {kind}"


def _volumes(template: Object) -> Iterator[str]:
    read_only, writable = set(), set()
    for volume in template["spec"].get("volumes", ()):
        kinds = set(volume) - {"name"}
        if not kinds <= VOLUMES:
            yield f"volume {volume['name']} is of the kind {', '.join(sorted(kinds - VOLUMES))}"
        if "emptyDir" in kinds:
            writable.add(volume["name"])
            if "sizeLimit" not in (volume["emptyDir"] or {}):
                yield f"volume {volume['name']} may grow without a limit"
        else:
            read_only.add(volume["name"])
    mounted = set()
    for container in containers(template):
        for mount in container.get("volumeMounts", ()):
            mounted.add(mount["name"])
            if mount["name"] in read_only and mount.get("readOnly") is not True:
                yield f"{container['name']} can write to {mount['name']}"
            if mount["name"] in writable and mount["mountPath"] not in WRITABLE:
                yield f"{container['name']} can write to {mount['mountPath']}"
            if mount["name"] not in read_only | writable:
                yield f"{container['name']} mounts {mount['name']}, which is not there"
    for name in sorted((read_only | writable) - mounted):
        yield f"volume {name} is mounted nowhere"
