"""A small Kubernetes API server, as much of it as kubernetes.core asks for, that fails where a test tells it to.

It has one namespace, no authorization, and a clock that moves with each request.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.deploy.ansible.controllers import Controllers
from tests.deploy.ansible.kinds import KINDS, Kind, Object, RefusedError, check
from tests.deploy.ansible.store import NAMESPACE, Store
from tests.deploy.ansible.world import World

TOKEN = "not a secret, only a test"
ADDRESS = re.compile(r"(?P<path>/apis?/.+?)/namespaces/(?P<namespace>[^/]+)/(?P<plural>[a-z]+)(?:/(?P<rest>.+))?")
DROPPED = 0
"""Instead of an HTTP status: the connection ends without an answer."""


@dataclass
class Failure:
    """The next call that looks like this goes wrong, before or after it has been done.

    `times`: kubernetes.core tries a patch in two ways.
    """

    method: str
    address: str
    status: int = 500
    done: bool = False
    times: int = 1


@dataclass
class Cluster:
    """The fake cluster: its objects, what happens in it, and the record of what was asked to be changed."""

    world: World
    store: Store = field(default_factory=Store)
    calls: list[tuple[str, str]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    url: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.controllers = Controllers(self.store, self.world)

    def answer(self, method: str, target: str, body: Object | None, media: str) -> tuple[int, Any]:
        """The answer to a request: HTTP status and a document."""
        parts = urlsplit(target)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        if (found := discovery(parts.path)) is not None:
            return 200, found
        with self.lock:
            try:
                return self._ask(method, parts.path, query, body, media)
            except RefusedError as error:
                return error.status, refusal(error.status, error.reason, str(error))

    def _ask(self, method: str, path: str, query: dict[str, str], body: Object | None, media: str) -> tuple[int, Any]:
        self.controllers.step()
        match = ADDRESS.fullmatch(path)
        kind = match and next(
            (one for one in KINDS if (one.path, one.plural) == (match["path"], match["plural"])), None
        )
        if match is None or kind is None or match["namespace"] != NAMESPACE:
            raise RefusedError(404, "NotFound", f"there is no {path}")
        failure = None
        if method != "GET":
            # A server-side apply says neither what is new nor what changes: it is the same call again and again.
            self.calls.append(
                (method, f"{match['plural']}/{match['rest'] or (body or {}).get('metadata', {}).get('name')}")
            )
            failure = next((one for one in self.failures if self.calls[-1] == (one.method, one.address)), None)
        if failure and not failure.done:
            self._fail(failure)
        answer = self._do(method, kind, match["rest"] or "", query, body, media)
        if failure:
            self._fail(failure)
        return answer

    def _fail(self, failure: Failure) -> None:
        failure.times -= 1
        if failure.times == 0:
            self.failures.remove(failure)
        raise RefusedError(failure.status, "InternalError", "told to fail by the test")

    def _do(
        self, method: str, kind: Kind, rest: str, query: dict[str, str], body: Object | None, media: str
    ) -> tuple[int, Any]:
        name, _, sub = rest.partition("/")
        verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(method, "get")
        if verb not in kind.verbs:
            raise RefusedError(405, "MethodNotAllowed", "the server does not allow this method on the resource")
        match verb, sub:
            case "get", "log":
                return 200, self._log(name)
            case "get", "" if name:
                return 200, self.store.get(kind.name, name)
            case "get", "":
                return 200, listing(kind, self.store.of(kind.name, query.get("labelSelector", "")))
            case "create", "" if body and kind.name == "ImageStreamImport":
                return 201, self._import(body)
            case "create", "" if body:
                return 201, self.store.create(kind, body)
            case "update", "" if body:
                return 200, self.store.replace(kind, body)
            case "patch", "" if body:
                return 200, self._patch(kind, name, query, body, media)
            case "delete", "":
                policy = (body or {}).get("propagationPolicy", query.get("propagationPolicy"))
                self.controllers.delete(kind.name, name, background=policy == "Background")
                return 200, {"kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {}}
        raise RefusedError(404, "NotFound", f"there is no {sub} of {kind.plural}")

    def _patch(self, kind: Kind, name: str, query: dict[str, str], body: Object, media: str) -> Object:
        match media:
            case "application/apply-patch+yaml":
                if not query.get("fieldManager"):
                    raise RefusedError(400, "BadRequest", "fieldManager is required")
                force = query.get("force", "").lower() == "true"
                return self.store.apply(kind, body, query["fieldManager"], force=force)
            case "application/strategic-merge-patch+json":
                if kind.api.startswith("monitoring"):
                    raise RefusedError(415, "UnsupportedMediaType", "not for custom resources")
                return self.store.patch(kind, name, body, strategic=True)
            case "application/merge-patch+json":
                return self.store.patch(kind, name, body, strategic=False)
        raise RefusedError(415, "UnsupportedMediaType", media)

    def _log(self, pod: str) -> str:
        if pod not in self.controllers.logs:
            raise RefusedError(400, "BadRequest", f"container koschei in pod {pod} is waiting to start")
        return self.controllers.logs[pod]

    def _import(self, wish: Object) -> Object:
        check(wish)
        stream = wish["metadata"]["name"]
        self.store.get("ImageStream", stream)
        answers = []
        for one in wish["spec"]["images"]:
            image = self.world.registry.get(one["from"]["name"])
            if image is None:
                status = {"status": "Failure", "reason": "NotFound", "message": f"{one['from']['name']} not found"}
                answers.append({"status": status, "tag": one["to"]["name"]})
            else:
                self.controllers.imported(stream, one["to"]["name"], image)
                found = {"metadata": {"name": image.digest}, "dockerImageReference": one["from"]["name"]}
                answers.append({"status": {"status": "Success"}, "image": found, "tag": one["to"]["name"]})
        return wish | {"status": {"images": answers, "import": self.store.get("ImageStream", stream)}}

    def writes(self) -> list[str]:
        """What was asked to be changed since the last time, in order, each once in a row."""
        found = [f"{method} {address}" for method, address in self.calls]
        self.calls.clear()
        return found


def refusal(status: int, reason: str, words: str) -> Object:
    """How the server says no."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": words,
        "reason": reason,
        "code": status,
    }


def listing(kind: Kind, objects: list[Object]) -> Object:
    """A list, whose items do not say their kind again."""
    for one in objects:
        one.pop("apiVersion"), one.pop("kind")
    return {"kind": f"{kind.name}List", "apiVersion": kind.api, "metadata": {"resourceVersion": "1"}, "items": objects}


def discovery(path: str) -> Object | None:
    """What the server says about itself."""
    groups = sorted({kind.api for kind in KINDS if "/" in kind.api})
    if path == "/version":
        return {"major": "1", "minor": "29", "gitVersion": "v1.29.0"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        versions = [{"groupVersion": one, "version": one.partition("/")[2]} for one in groups]
        named = zip(groups, versions, strict=True)
        found = [{"name": one.partition("/")[0], "versions": [its], "preferredVersion": its} for one, its in named]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}
    kinds = [kind for kind in KINDS if kind.path == path]
    if not kinds:
        return None
    resources: list[Object] = [
        {"name": kind.plural, "singularName": "", "namespaced": True, "kind": kind.name, "verbs": list(kind.verbs)}
        for kind in kinds
    ]
    if path == "/api/v1":
        resources.append({"name": "pods/log", "singularName": "", "namespaced": True, "kind": "Pod", "verbs": ["get"]})
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": kinds[0].api, "resources": resources}


class Handler(BaseHTTPRequestHandler):
    """Reads a request, asks the cluster, writes its answer."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    cluster: Cluster

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        text = self.rfile.read(length)
        body = yaml.safe_load(text) if text else None
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            status, answer = 401, refusal(401, "Unauthorized", "who are you?")
        else:
            status, answer = self.cluster.answer(
                self.command, self.path, body, self.headers.get("Content-Type", "").partition(";")[0]
            )
        if status == DROPPED:
            self.close_connection = True
            return
        plain = isinstance(answer, str)
        data = answer.encode() if plain else json.dumps(answer).encode()
        self.send_response(status if status else 500)
        self.send_header("Content-Type", "text/plain" if plain else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - as the base class looks for them

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the record is in the cluster."""


@contextmanager
def serving(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster behind an address, for a while."""
    handler = type("ClusterHandler", (Handler,), {"cluster": cluster})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        cluster.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield cluster
        finally:
            server.shutdown()
            thread.join()
