"""Filters of the role koschei: manifests made ready to be applied, and what the cluster's answers mean.

They ask nobody and change nothing, so that the tasks stay short and the rest can be tried without a cluster.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError

Object = dict[str, Any]

IMPORTED = "koschei:imported"
"""How the manifests call the image: the playbooks put a digest in its place."""
TAG = "imported"
COMPONENT = "app.kubernetes.io/component"
SECRETS = "koschei/secrets"
"""Annotation of pods: which versions of its Secrets a pod was made with, so that a changed one replaces it."""
ANNOUNCED = "koschei/announced"
"""Annotation of the scheduler: "yes" while an announcement of the suspension is up."""
PODS = ("Deployment", "CronJob")


def objects(text: str, image: str = "", versions: dict[str, str] | None = None) -> list[Object]:
    """What `kustomize` printed, as objects: with this image, and pods that name the versions of their Secrets."""
    found = [one for one in yaml.safe_load_all(str(text)) if one]
    for one in found:
        if image:
            _with_image(one, str(image))
        if versions is not None and one["kind"] == "Deployment":
            _with_versions(one["spec"]["template"], versions)
    return found


def secret_objects(texts: dict[str, dict[str, str]], encoded: dict[str, dict[str, str]]) -> list[Object]:
    """The Secrets of the variables: files as text, and files that are base64 already, by Secret."""
    made = []
    for name in sorted({*texts, *encoded}):
        data = {file: base64.b64encode(str(text).encode()).decode() for file, text in texts.get(name, {}).items()}
        labels = {f"app.kubernetes.io/{label}": "koschei" for label in ("name", "part-of")}
        made.append(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "Opaque",
                "metadata": {"name": name, "labels": labels},
                "data": {file: str(text) for file, text in (data | encoded.get(name, {})).items()},
            }
        )
    return made


def versions(secrets: list[Object]) -> dict[str, str]:
    """The versions of Secrets by their names, and nothing of what is in them."""
    return {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in secrets}


def _with_image(one: Object, image: str) -> None:
    for container in _pod(one).get("containers", ()):
        if container["image"] == IMPORTED:
            container["image"] = image


def _pod(one: Object) -> Object:
    spec = one.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    pod: Object = spec.get("template", {}).get("spec", {})
    return pod


def _with_versions(template: Object, versions: dict[str, str]) -> None:
    sources = [source for volume in template["spec"]["volumes"] for source in _sources(volume)]
    used = [f"{name}={versions[name]}" for name in sorted(set(sources)) if name in versions]
    template["metadata"].setdefault("annotations", {})[SECRETS] = " ".join(used)


def _sources(volume: Object) -> Iterable[str]:
    if "secret" in volume:
        yield volume["secret"]["secretName"]
    for source in volume.get("projected", {}).get("sources", ()):
        if "secret" in source:
            yield source["secret"]["name"]


def without_pods(found: list[Object]) -> list[Object]:
    """Those that start no pods."""
    return [one for one in found if one["kind"] not in PODS]


def job(text: str, component: str, image: str, command: list[str] | None = None) -> Object:
    """The Job of that name among the templates, with this image and a name of its own.

    With a command it is another Job, that has the template's settings: `component` is the template's name and, after a
    slash, its own.
    """
    template, _, own = str(component).partition("/")
    for one in objects(text, image):
        if one["metadata"]["name"] == template:
            name = own or template
            one["metadata"]["name"] = job_name(name, image)
            for metadata in (one["metadata"], one["spec"]["template"]["metadata"]):
                metadata["labels"][COMPONENT] = name
            if command:
                one["spec"]["template"]["spec"]["containers"][0]["command"] = list(command)
            return one
    raise AnsibleFilterError(f"there is no Job {template} among the templates (koschei_manifests, folder jobs)")


def job_name(component: str, image: str) -> str:
    """The name of a Job for one image."""
    return f"{str(component).rpartition('/')[2]}-{str(image).rpartition(':')[2][:10]}"


def digests(stream: Object | None) -> list[str]:
    """The digests that an ImageStream has had under the tag, newest first."""
    for tag in ((stream or {}).get("status") or {}).get("tags") or ():
        if tag["tag"] == TAG:
            return [item["image"] for item in tag.get("items") or ()]
    return []


def reference(stream: Object, digest: str = "") -> str:
    """How pods name an image of the stream: the newest, or the one with this digest."""
    return f"{stream['status']['dockerImageRepository']}@{digest or digests(stream)[0]}"


def source(found: list[Object]) -> Object:
    """The ImageStream's tag in the manifests: where the image is imported from."""
    for one in found:
        if one["kind"] == "ImageStream":
            for tag in one["spec"]["tags"]:
                if tag["name"] == TAG:
                    result: Object = tag
                    return result
    raise AnsibleFilterError(f"the overlay has no ImageStream with a tag {TAG}")


def running(deployments: list[Object]) -> list[str]:
    """The images, by digest, of the Deployments: one, unless an upgrade was interrupted; none, if none has a digest."""
    images = {container["image"] for one in deployments for container in _pod(one)["containers"]}
    return sorted(image for image in images if "@" in image)


def not_rolled_out(deployments: list[Object]) -> list[str]:
    """What still has to happen until all pods are those that the Deployments describe; a line each."""
    missing = []
    for one in deployments:
        name, wanted = one["metadata"]["name"], one["spec"].get("replicas", 1)
        status = one.get("status") or {}
        updated, total = status.get("updatedReplicas") or 0, status.get("replicas") or 0
        available = status.get("availableReplicas") or 0
        if (status.get("observedGeneration") or 0) < one["metadata"]["generation"]:
            missing.append(f"{name}: nothing has happened yet")
        elif updated != wanted or total != wanted:
            missing.append(f"{name}: {updated} of {wanted} pods are new, {total - updated} are old")
        elif name == "frontend" and available != wanted:
            missing.append(f"{name}: {available} of {wanted} pods are available")
    return missing


def not_started(pods: list[Object]) -> list[str]:
    """Pods that do not run yet, with the reason as far as it is known; a line each. Pods of Jobs do not count."""
    missing = []
    for pod in pods:
        if _owner(pod) == "Job":
            continue
        states = (pod.get("status") or {}).get("containerStatuses") or []
        if states and all(state.get("started") for state in states) and not pod["metadata"].get("deletionTimestamp"):
            continue
        reasons = [state["state"]["waiting"].get("reason", "") for state in states if "waiting" in state["state"]]
        missing.append(" ".join([pod["metadata"]["name"], *reasons]))
    return missing


def _owner(pod: Object) -> str:
    return next((owner["kind"] for owner in pod["metadata"].get("ownerReferences") or ()), "")


def in_the_way(pods: list[Object], jobs: list[str]) -> list[str]:
    """Names of pods that have not ended, apart from those of these Jobs."""
    return [
        pod["metadata"]["name"]
        for pod in pods
        if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
        and not (_owner(pod) == "Job" and pod["metadata"]["labels"].get(COMPONENT) in jobs)
    ]


def active(jobs: list[Object], others: list[str] | None = None) -> list[Object]:
    """The Jobs that have not ended; with `others`, only those of none of these components."""
    return [
        one
        for one in jobs
        if outcome(one) == "" and (others is None or one["metadata"]["labels"].get(COMPONENT) not in others)
    ]


def bare(found: list[Object]) -> list[Object]:
    """Kind and name of objects, to take them away."""
    return [
        {"apiVersion": one["apiVersion"], "kind": one["kind"], "metadata": {"name": one["metadata"]["name"]}}
        for one in found
    ]


def outcome(one: Object | None) -> str:
    """How a Job has ended: "Complete", "Failed", or nothing while it has not."""
    for condition in ((one or {}).get("status") or {}).get("conditions") or ():
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return str(condition["type"])
    return ""


def reason(one: Object | None) -> str:
    """What the cluster says of a Job that failed."""
    for condition in ((one or {}).get("status") or {}).get("conditions") or ():
        if condition["type"] == "Failed":
            return f"{condition.get('reason', '')}: {condition.get('message', '')}"
    return ""


def answer(log: str) -> Object:
    """The JSON in the log of `koschei-admin db-check --json`; empty when there is none, for it broke off."""
    text = str(log)
    start = text.find("{")
    while start >= 0:
        try:
            found, _ = json.JSONDecoder().raw_decode(text[start:])
        except ValueError:
            found = None
        if isinstance(found, dict) and {"usable", "playbook"} <= set(found):
            return found
        start = text.find("{", start + 1)
    return {}


def objections(found: Object) -> str:
    """What db-check was not content with."""
    return "; ".join(one["text"] for one in found.get("checks", ()) if not one["well"])


def advice(found: Object) -> str:
    """Which playbook brings the image up on the database that db-check has looked at."""
    if found.get("playbook") is None:
        return "No playbook can help: mend the database, or take another image (-e koschei_digest=...)."
    if found.get("database_revision") is None:
        return "There are no tables: run openshift-apps/koschei.yml, or manual/upgrade/koschei-full.yml."
    stopped = f"Run manual/upgrade/koschei-{found['playbook']}.yml, which stops everything for the migration"
    going_on = "koschei-rolling.yml -e koschei_pre_half=true applies what the running version can live with"
    return f"{stopped}; {going_on}, and stops nothing." if found.get("pending_pre") else f"{stopped}."


def replicas(deployments: list[Object]) -> dict[str, int]:
    """How many pods each Deployment asks for."""
    return {one["metadata"]["name"]: one["spec"].get("replicas", 1) for one in deployments}


def scaled(numbers: dict[str, int], found: list[Object] | None = None) -> list[Object]:
    """Patches that have each Deployment ask for its number of pods; not for those whose manifest says it."""
    said = {one["metadata"]["name"] for one in found or () if "replicas" in one.get("spec", {})}
    return [_patch("apps/v1", "Deployment", name, replicas=n) for name, n in numbers.items() if name not in said]


def announced(deployments: list[Object]) -> bool:
    """Whether submissions were suspended with an announcement that is still up."""
    notes = [one["metadata"].get("annotations") or {} for one in deployments if one["metadata"]["name"] == "scheduler"]
    return any(note.get(ANNOUNCED) == "yes" for note in notes)


def suspended(cron_jobs: list[Object]) -> dict[str, bool]:
    """Which CronJobs are suspended."""
    return {one["metadata"]["name"]: bool(one["spec"].get("suspend")) for one in cron_jobs}


def suspending(flags: dict[str, bool]) -> list[Object]:
    """Patches that suspend CronJobs, or let them go on."""
    return [_patch("batch/v1", "CronJob", name, suspend=flag) for name, flag in flags.items()]


def _patch(version: str, kind: str, name: str, **spec: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": deepcopy(spec)}


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters, by the names that the tasks use."""
        manifests = (objects, secret_objects, versions, without_pods, job, job_name, digests, reference, source)
        states = (running, not_rolled_out, not_started, in_the_way, active, bare, outcome, reason)
        answers = (answer, objections, advice)
        changes = (replicas, scaled, announced, suspended, suspending)
        return {f"koschei_{one.__name__}": one for one in (*manifests, *states, *answers, *changes)}
