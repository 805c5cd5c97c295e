"""What the manifests say of the programs is so: commands, ports, paths, settings, and how long things take to end."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import frontend.main
from admin.main import cli
from backend.frame import STOP_SECONDS
from backend.health import HealthServer, Pulse
from backend.main import SERVICES as BACKEND
from demo.ports import free_port
from frontend.app import create_app
from frontend.server import options
from koschei.config import Config
from koschei.config.loading import DEFAULT_PATH
from tests.deploy.manifests.kustomize import Object
from tests.deploy.manifests.manifests import (
    REPOSITORY,
    SERVICES,
    containers,
    everything,
    find,
    jobs,
    pod_template,
    rendered,
    workloads,
)
from tests.support import wait_until

WORKLOADS = [(name, container) for name, template in workloads() for container in containers(template)]
SCRIPTS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
SETTINGS = Config.model_validate({"flask": {"SECRET_KEY": "not a secret, only a test"}})


def deployment(name: str) -> Object:
    return find(rendered("production"), "Deployment", name)


def pod(name: str) -> Object:
    template = pod_template(deployment(name))
    assert template is not None
    found: Object = template["spec"]
    return found


def parse(command: list[str]) -> click.Context:
    """The command line of koschei-admin as it would be understood. Errors: click.UsageError."""
    root = click.Context(cli)
    program = cli.get_command(root, command[0])
    if program is None:
        raise click.UsageError(f"no command {command[0]}")
    return program.make_context(command[0], list(command[1:]), parent=root)


@pytest.mark.parametrize(("name", "container"), WORKLOADS, ids=[name for name, _ in WORKLOADS])
def test_commands_exist(name: str, container: Object) -> None:
    program, *arguments = container["command"]
    if name.endswith("Deployment/admin"):
        assert program == "/bin/sh"
        return
    assert program in SCRIPTS
    match program:
        case "koschei-backend":
            assert arguments == [container_name(name)]
            assert arguments[0] in BACKEND
        case "koschei-admin":
            parse(arguments)
        case "koschei-frontend":
            frontend.main.main.make_context(program, arguments)
    assert "args" not in container


def container_name(name: str) -> str:
    return name.rpartition("/")[2]


def test_a_command_that_does_not_exist_would_be_found() -> None:
    with pytest.raises(click.UsageError, match="--aply"):
        parse(["retention", "--aply"])
    with pytest.raises(click.UsageError, match="no command"):
        parse(["retain"])


def test_there_is_a_deployment_of_each_service_and_no_more() -> None:
    names = {one["metadata"]["name"] for one in rendered("production") if one["kind"] == "Deployment"}
    assert names == {"frontend", "admin", *BACKEND}
    assert set(SERVICES) == set(BACKEND)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_one_pod_at_a_time(service: str) -> None:
    spec = deployment(service)["spec"]
    assert spec["strategy"] == {"type": "Recreate"}
    # One, unless somebody scaled it: saying so would undo a suspension with each run of the playbook.
    assert "replicas" not in spec


@pytest.mark.parametrize("service", SERVICES)
def test_health_ports_are_where_the_settings_put_them(service: str) -> None:
    (port,) = pod(service)["containers"][0]["ports"]
    settings = getattr(SETTINGS.services, service.replace("-", "_"))
    assert port == {"name": "health", "containerPort": settings.health_port}


def test_the_frontends_port_is_its_default() -> None:
    (bind,) = (option for option in frontend.main.main.params if option.name == "bind")
    port, metrics = pod("frontend")["containers"][0]["ports"]
    assert port == {"name": "http", "containerPort": int(str(bind.default).rpartition(":")[2])}
    program, *arguments = pod("frontend")["containers"][0]["command"]
    asked = frontend.main.main.make_context(program, arguments).params["metrics_port"]
    assert metrics == {"name": "metrics", "containerPort": asked}


def probes(name: str) -> dict[str, str]:
    container = pod(name)["containers"][0]
    kinds = ("startupProbe", "livenessProbe", "readinessProbe")
    port = container["ports"][0]
    assert {container[kind]["httpGet"]["port"] for kind in kinds} == {port["name"]}
    return {kind: container[kind]["httpGet"]["path"] for kind in kinds}


PROBES = {"startupProbe": "/healthz/live", "livenessProbe": "/healthz/live", "readinessProbe": "/healthz/ready"}


def test_the_frontend_has_what_its_probes_ask_for() -> None:
    assert probes("frontend") == PROBES
    rules = {rule.rule for rule in create_app(SETTINGS).url_map.iter_rules()}
    assert set(PROBES.values()) <= rules


def test_the_route_leads_to_no_metrics() -> None:
    """The frontend's are on a port that neither the Service nor the Route names; the pages' port has none."""
    rules = {rule.rule for rule in create_app(SETTINGS).url_map.iter_rules()}
    assert not [rule for rule in rules if "metrics" in rule]
    (endpoint,) = find(rendered("production"), "PodMonitor", "frontend")["spec"]["podMetricsEndpoints"]
    service = find(rendered("production"), "Service", "frontend")["spec"]
    assert [port["targetPort"] for port in service["ports"]] == ["http"] != [endpoint["port"]]


def test_health_ports_have_what_is_asked_of_them() -> None:
    for service in SERVICES:
        assert probes(service) == PROBES
    (endpoint,) = find(rendered("production"), "PodMonitor", "services")["spec"]["podMetricsEndpoints"]
    port = free_port()
    with HealthServer(Pulse("polling"), "127.0.0.1", port):
        answers = {path: status(port, path) for path in {*PROBES.values(), endpoint["path"], "/nothing"}}
    assert answers == {"/healthz/live": 200, "/healthz/ready": 503, "/metrics": 200, "/nothing": 404}


def status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse().status
    connection.close()
    return answer


def test_settings_and_caches_are_where_the_programs_look() -> None:
    for name, container in WORKLOADS:
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        environment = {one["name"]: one.get("value") for one in container["env"]}
        assert mounts["config"] == environment["KOSCHEI_CONFIG"] == str(DEFAULT_PATH), name
        assert mounts["tmp"] == environment["HOME"] == "/tmp", name
        assert mounts.get("cache", str(SETTINGS.directories.cachedir)) == str(SETTINGS.directories.cachedir), name
    for name in ("repo-resolver", "build-resolver"):
        assert "cache" in {mount["name"] for mount in pod(name)["containers"][0]["volumeMounts"]}


def test_environment_variables_are_known_to_the_program() -> None:
    environment = {one["name"]: one.get("value") for one in pod("frontend")["containers"][0]["env"]}
    assert set(environment) == {"KOSCHEI_CONFIG", "HOME", "WEB_CONCURRENCY"}
    answer = CliRunner().invoke(frontend.main.main, env={"WEB_CONCURRENCY": "many"})
    assert "WEB_CONCURRENCY is 'many'" in answer.output


def test_pods_have_the_time_they_need_to_end() -> None:
    for service in SERVICES:
        assert pod(service)["terminationGracePeriodSeconds"] > STOP_SECONDS + 2
    spec = pod("frontend")
    program, *arguments = spec["containers"][0]["command"]
    drain = frontend.main.main.make_context(program, arguments).params["drain"]
    assert drain >= 10, "routers need some seconds to hear of it"
    # gunicorn's own patience comes after it.
    assert spec["terminationGracePeriodSeconds"] > drain + options("x:1", 2)["graceful_timeout"]


def test_the_frontend_is_never_short_of_pods() -> None:
    for overlay in ("staging", "production"):
        spec = find(rendered(overlay), "Deployment", "frontend")["spec"]
        assert spec["replicas"] >= 2
        assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
        budget = find(rendered(overlay), "PodDisruptionBudget", "frontend")["spec"]
        assert budget["maxUnavailable"] < spec["replicas"]
    spread = {one["topologyKey"] for one in pod("frontend")["topologySpreadConstraints"]}
    assert spread == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}


@pytest.mark.parametrize("overlay", ["staging", "production"])
def test_what_selects_finds_what_it_should(overlay: str) -> None:
    """Selectors of Deployments, the Service and the budget, and the Route's way to the frontend's port."""
    for one in rendered(overlay):
        template = pod_template(one)
        if one["kind"] == "Deployment" and template is not None:
            chosen = one["spec"]["selector"]["matchLabels"].items()
            assert chosen == {("app.kubernetes.io/component", one["metadata"]["name"])}
            assert chosen <= template["metadata"]["labels"].items()
    labels = find(rendered(overlay), "Deployment", "frontend")["spec"]["template"]["metadata"]["labels"].items()
    service = find(rendered(overlay), "Service", "frontend")["spec"]
    budget = find(rendered(overlay), "PodDisruptionBudget", "frontend")["spec"]
    assert service["selector"].items() <= labels
    assert budget["selector"]["matchLabels"].items() <= labels
    route = find(rendered(overlay), "Route", "frontend")["spec"]
    assert route["to"]["name"] == "frontend"
    (port,) = service["ports"]
    assert route["port"]["targetPort"] == port["name"]
    assert port["targetPort"] == pod("frontend")["containers"][0]["ports"][0]["name"]
    assert route["tls"] == {"termination": "edge", "insecureEdgeTerminationPolicy": "Redirect"}


def test_jobs_are_tried_once_and_end() -> None:
    for job in jobs():
        spec = job["spec"]
        assert (spec["backoffLimit"], spec["template"]["spec"]["restartPolicy"]) == (0, "Never")
        assert spec["activeDeadlineSeconds"] > 0
        assert spec["ttlSecondsAfterFinished"] > 0


def test_cron_jobs_neither_pile_up_nor_run_for_ever() -> None:
    found = {name: one["spec"] for name, one in everything() if one["kind"] == "CronJob"}
    assert {name.rpartition("/")[2] for name in found} == {"retention", "refresh-group"}
    for spec in found.values():
        assert spec["concurrencyPolicy"] == "Forbid"
        assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 24 * 3600
        assert {"startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit", "timeZone"} <= set(
            spec
        )


@pytest.fixture
def waiting() -> Iterator[subprocess.Popen[bytes]]:
    """What the admin pod runs, with a group of processes of its own."""
    process = subprocess.Popen(pod("admin")["containers"][0]["command"], start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # in a pod, what sleeps goes with the first process
        process.wait()


def test_the_admin_pod_waits_and_ends_when_told(waiting: subprocess.Popen[bytes]) -> None:
    children = Path(f"/proc/{waiting.pid}/task/{waiting.pid}/children")
    wait_until(lambda: children.read_text().strip(), 20, "it to sleep")
    waiting.send_signal(signal.SIGTERM)
    assert waiting.wait(timeout=pod("admin")["terminationGracePeriodSeconds"]) == 0


def test_the_admin_prompt_says_which_project_it_is() -> None:
    environment = {one["name"]: one for one in pod("admin")["containers"][0]["env"]}
    assert environment["PROJECT"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.namespace"
    # A variable can be named in those that come after it.
    assert list(environment).index("PROJECT") < list(environment).index("PS1")
    prompt = environment["PS1"]["value"].replace("$(PROJECT)", "koschei-stg")
    shown = subprocess.run(
        ["/bin/sh", "-i"],
        input="exit\n",
        env={"PS1": prompt},
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,  # an interactive shell would want the terminal that the tests run in
    )
    assert "[koschei-stg] $ " in shown.stderr
