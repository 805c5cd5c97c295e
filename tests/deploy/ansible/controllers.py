"""Toy controllers: pods come and go as Deployments and Jobs say, images are imported. Time is counted in requests."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import Any

from tests.deploy.ansible.kinds import Object, kind_named
from tests.deploy.ansible.store import Store
from tests.deploy.ansible.world import Image, World

COMPONENT = "app.kubernetes.io/component"
START, STOP, WORK = 2, 2, 2
"""Requests until a pod has started, until it is gone, and until a Job's pod has ended."""
REGISTRY = "image-registry.openshift-image-registry.svc:5000/koschei/koschei"


class Controllers:
    """Everything that happens by itself."""

    def __init__(self, store: Store, world: World) -> None:
        self.store, self.world = store, world
        self.now = 0
        self.stuck: set[str] = set()
        """Components whose pods do not end."""
        self.slow: dict[str, int] = {}
        """Components whose Jobs take this many requests."""
        self.logs: dict[str, str] = {}
        self.since: dict[str, int] = {}
        self.fewest: int | None = None
        """The fewest available frontends since somebody set it to None."""
        self._numbers = itertools.count(1)

    def step(self) -> None:
        """A moment passes."""
        self.now += 1
        for pod in self.store.of("Pod"):
            self._age(pod)
        for one in self.store.of("Deployment"):
            self._deployment(one)
        for one in self.store.of("Job"):
            self._job(one)
        for one in self.store.of("ImageStream"):
            self._stream(one)
        self._watch()

    def settle(self) -> None:
        """A while passes."""
        for _ in range(60):
            self.step()

    # Pods

    def _age(self, pod: Object) -> None:
        name = pod["metadata"]["name"]
        component = pod["metadata"]["labels"][COMPONENT]
        age = self.now - self.since[name]
        if pod["metadata"].get("deletionTimestamp"):
            if age >= STOP and component not in self.stuck:
                self.store.delete("Pod", name)
        elif owner(pod)["kind"] == "ReplicaSet":
            well = age >= START and (component == "admin" or self.world.can_run(self._image(pod)))
            if component == "admin":
                well = age >= START and not self._image(pod).broken
            self.store.set_status("Pod", name, pod_status(well, "Running"))

    def _image(self, pod: Object) -> Image:
        return self.world.image(container(pod["spec"])["image"])

    def _make_pod(self, template: Object, owner_kind: str, owner_name: str, mark: str) -> None:
        name = f"{owner_name}-{next(self._numbers)}"
        labels = template["metadata"]["labels"] | {"mark": mark}
        reference = {"apiVersion": "v1", "kind": owner_kind, "name": owner_name, "uid": "some", "controller": True}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": labels, "ownerReferences": [reference]},
            "spec": template["spec"],
        }
        self.store.create(kind_named("Pod"), pod)
        self.since[name] = self.now
        self.store.set_status("Pod", name, pod_status(False, "Pending"))

    def _end_pod(self, pod: Object) -> None:
        if not pod["metadata"].get("deletionTimestamp"):
            self.store.objects["Pod", pod["metadata"]["name"]]["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
            self.since[pod["metadata"]["name"]] = self.now

    # Deployments

    def _deployment(self, one: Object) -> None:
        name, wanted = one["metadata"]["name"], one["spec"]["replicas"]
        mark = hashlib.sha256(json.dumps(one["spec"]["template"], sort_keys=True).encode()).hexdigest()[:10]
        pods = [pod for pod in self.store.of("Pod", f"{COMPONENT}={name}") if owner(pod)["kind"] == "ReplicaSet"]
        staying = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        new = [pod for pod in staying if pod["metadata"]["labels"]["mark"] == mark]
        old = [pod for pod in staying if pod not in new]
        if one["spec"]["strategy"]["type"] == "Recreate":
            for pod in old:
                self._end_pod(pod)
            missing = wanted - len(new) if len(pods) == len(new) else 0
        else:
            spare = len([pod for pod in staying if ready(pod)]) - wanted
            for pod in sorted(old, key=ready)[: max(0, spare) + len([pod for pod in old if not ready(pod)])]:
                self._end_pod(pod)
            missing = min(wanted - len(new), wanted + 1 - len(staying))
        for _ in range(missing):
            self._make_pod(one["spec"]["template"], "ReplicaSet", name, mark)
        for pod in new[wanted:]:
            self._end_pod(pod)
        status = {
            "observedGeneration": one["metadata"]["generation"],
            "replicas": len(staying),
            "updatedReplicas": len(new),
            "readyReplicas": len([pod for pod in staying if ready(pod)]),
            "availableReplicas": len([pod for pod in staying if ready(pod)]),
        }
        self.store.set_status("Deployment", name, {key: value for key, value in status.items() if value})

    # Jobs

    def _job(self, one: Object) -> None:
        name = one["metadata"]["name"]
        if one.get("status", {}).get("conditions"):
            return
        pods = [pod for pod in self.store.of("Pod") if owner(pod) == {"kind": "Job", "name": name}]
        if not pods:
            template = one["spec"]["template"]
            template["metadata"]["labels"]["batch.kubernetes.io/job-name"] = name
            self._make_pod(template, "Job", name, "")
            self.store.objects["Job", name]["spec"]["selector"] = {
                "matchLabels": {"batch.kubernetes.io/job-name": name}
            }
            self.store.set_status("Job", name, {"active": 1})
            return
        (pod,) = pods
        component = one["metadata"]["labels"][COMPONENT]
        if self.now - self.since[pod["metadata"]["name"]] >= self.slow.get(component, WORK):
            self._end_job(one, pod, component)

    def _end_job(self, one: Object, pod: Object, component: str) -> None:
        spec = container(one["spec"]["template"]["spec"])
        if "create-db" in spec["command"] and component == "migrate":
            self.world.happened += [f"{name} still there" for name in self.working()]
        status, log = self.world.run(component, spec["command"], self.world.image(spec["image"]))
        self.logs[pod["metadata"]["name"]] = log
        self.store.set_status("Pod", pod["metadata"]["name"], pod_status(False, "Failed" if status else "Succeeded"))
        end: dict[str, Any] = {"type": "Complete", "status": "True"}
        if status:
            end = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "It failed once"}
        self.store.set_status("Job", one["metadata"]["name"], {"conditions": [end]})

    def working(self) -> list[str]:
        """Names of pods of Deployments that are there."""
        return [pod["metadata"]["name"] for pod in self.store.of("Pod") if owner(pod)["kind"] == "ReplicaSet"]

    def delete(self, kind: str, name: str, *, background: bool) -> Object:
        """What is deleted, with its pods if they are to go, too."""
        for pod in self.store.of("Pod"):
            if background and owner(pod) == {"kind": kind, "name": name}:
                self.store.delete("Pod", pod["metadata"]["name"])
        return self.store.delete(kind, name)

    # Images

    def _stream(self, one: Object) -> None:
        """A tag that is new, or is said in another way, is imported by itself."""
        seen = one.get("status", {}).get("tags", [])
        for tag in one["spec"]["tags"]:
            known = next((its for its in seen if its["tag"] == tag["name"]), {"items": []})
            if all(item["generation"] < tag["generation"] for item in known["items"]):
                image = self.world.registry.get(tag["from"]["name"])
                if image is not None:
                    self.imported(one["metadata"]["name"], tag["name"], image, tag["generation"])

    def imported(self, stream: str, tag: str, image: Image, generation: int = 0) -> None:
        """An image has come under a tag."""
        status = self.store.get("ImageStream", stream).get("status", {"dockerImageRepository": REGISTRY, "tags": []})
        known = next((its for its in status["tags"] if its["tag"] == tag), None)
        if known is None:
            known = {"tag": tag, "items": []}
            status["tags"].append(known)
        generation = max([generation, *(item["generation"] for item in known["items"])])
        if known["items"] and known["items"][0]["image"] == image.digest:
            known["items"][0]["generation"] = generation
        else:
            known["items"].insert(0, {"image": image.digest, "generation": generation})
        self.store.set_status("ImageStream", stream, status)

    def _watch(self) -> None:
        pods = [pod for pod in self.store.of("Pod") if owner(pod)["kind"] == "ReplicaSet" and ready_before(pod)]
        for pod in pods:
            component = pod["metadata"]["labels"][COMPONENT]
            image = self._image(pod)
            if component != "admin" and self.world.reachable and not self.world.state(image).usable:
                self.world.harm.append(f"{component} of the image {image.name!r} at {self.world.revisions[-1].name}")
        frontends = [pod for pod in pods if pod["metadata"]["labels"][COMPONENT] == "frontend" and ready(pod)]
        self.fewest = len(frontends) if self.fewest is None else min(self.fewest, len(frontends))


def owner(pod: Object) -> dict[str, str]:
    """Kind and name of what made a pod."""
    (reference,) = pod["metadata"]["ownerReferences"]
    return {"kind": reference["kind"], "name": reference["name"]}


def container(spec: Object) -> Object:
    """The one of a pod."""
    (found,) = spec["containers"]
    result: Object = found
    return result


def pod_status(well: bool, phase: str) -> Object:
    """As a pod says it."""
    state: Object = {"running": {}} if well else {"waiting": {"reason": "CrashLoopBackOff"}}
    if phase in ("Succeeded", "Failed"):
        state = {"terminated": {"exitCode": 0 if phase == "Succeeded" else 1}}
    status = {"name": "koschei", "image": "", "imageID": "", "restartCount": 0, "ready": well, "started": well}
    return {"phase": phase, "containerStatuses": [status | {"state": state}]}


def ready(pod: Object) -> bool:
    """Whether it may be sent requests."""
    return all(one["ready"] for one in pod["status"]["containerStatuses"])


def ready_before(pod: Object) -> bool:
    """Whether it was so a moment ago, and it has not been told to go."""
    return ready(pod) and not pod["metadata"].get("deletionTimestamp")
