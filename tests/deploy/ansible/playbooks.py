"""Runs the playbooks of ansible/ as an operator does, against the fake cluster."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.ansible.api import TOKEN, Cluster, Failure
from tests.deploy.manifests.kustomize import render
from tests.deploy.manifests.manifests import OPENSHIFT, REPOSITORY

ANSIBLE = REPOSITORY / "ansible"
DEPLOY = "openshift-apps/koschei.yml"
IMPORT = "manual/import-image.yml"
ROLLING = "manual/upgrade/koschei-rolling.yml"
FULL = "manual/upgrade/koschei-full.yml"
SUSPEND = "manual/suspend.yml"
RESUME = "manual/resume.yml"
PLAYBOOKS = (DEPLOY, IMPORT, ROLLING, FULL, SUSPEND, RESUME)

PASSWORD = "the password of the database"
SECRETS = {
    "koschei-config": {"10-koschei.toml": "unpriv_db_username = 'koschei'\n", "20-database.toml": f"{PASSWORD}\n"},
    "koschei-frontend": {"30-frontend.toml": "[flask]\n"},
}


@dataclass(frozen=True)
class Run:
    """How a playbook went."""

    status: int
    output: str

    @property
    def changed(self) -> int:
        """How many tasks changed something."""
        return int(re.search(r"changed=(\d+)", self.output)[1])  # type: ignore[index]

    @property
    def ok(self) -> bool:
        """Whether it got to its end."""
        return self.status == 0

    @property
    def said(self) -> str:
        """All that was said, as one line."""
        return " ".join(self.output.split())


@dataclass
class Operator:
    """Somebody with a checkout, a kubeconfig and an inventory."""

    cluster: Cluster
    folder: Path
    variables: dict[str, Any] = field(default_factory=dict)

    def prepare(self) -> None:
        """Write the kubeconfig and the inventory."""
        access = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": self.cluster.url}}],
            "users": [{"name": "operator", "user": {"token": TOKEN}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "operator"}}],
            "current-context": "fake",
        }
        (self.folder / "kubeconfig").write_text(yaml.safe_dump(access))
        (self.folder / "kustomize").write_text(f'cat "{self.folder}/$(basename "$1").yaml"\n')
        for rendered in (OPENSHIFT / "overlays" / "production", OPENSHIFT / "jobs"):
            (self.folder / f"{rendered.name}.yaml").write_text(rendered_text(rendered))
        self.variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "koschei_kubeconfig": str(self.folder / "kubeconfig"),
            "koschei_kustomize": ["/bin/sh", str(self.folder / "kustomize")],
            "koschei_secrets": SECRETS,
            "koschei_poll_seconds": 0.05,
            "koschei_wait_seconds": 1,
            "koschei_job_seconds": 1,
        }

    def play(self, playbook: str, *options: str, **variables: Any) -> Run:
        """Run a playbook."""
        hosts = {"koschei": {"hosts": {"production": self.variables | variables}}}
        (self.folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_"))}
        reply = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), "-i", self.folder / "hosts.yml", playbook, *options],
            cwd=ANSIBLE,
            env=environment
            | {
                "TMPDIR": str(self.folder),
                "ANSIBLE_HOME": str(self.folder / "home"),
                "ANSIBLE_LOCALHOST_WARNING": "False",
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_FORCE_COLOR": "0",
                "PYTHONPATH": str(REPOSITORY),
                "PYTHONWARNINGS": "ignore",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return Run(reply.returncode, reply.stdout + reply.stderr)


@cache
def rendered_text(folder: Path) -> str:
    """What `kubectl kustomize` prints for a folder. There need not be a kubectl; it is tried where there is one."""
    return str(yaml.safe_dump_all(deepcopy(render(folder))))


@cache
def role_filters() -> dict[str, Callable[..., Any]]:
    """The role's filters, as Ansible finds them."""
    namespace = runpy.run_path(str(ANSIBLE / "roles" / "koschei" / "filter_plugins" / "koschei.py"))
    filters: dict[str, Callable[..., Any]] = namespace["FilterModule"]().filters()
    return filters


def interrupted(operator: Operator, playbook: str, failures: Iterable[Failure | str], **variables: Any) -> None:
    """Run a playbook that goes wrong at each of these, one by one: each run begins where the last one broke off.

    A text is the component of a Job that fails.
    """
    for failure in failures:
        cluster = operator.cluster
        (cluster.world.fail if isinstance(failure, str) else cluster.failures).append(failure)  # type: ignore[arg-type]
        run = operator.play(playbook, **variables)
        assert not run.ok, failure
        assert [*cluster.failures, *cluster.world.fail] == [], f"{failure} was not reached: {run.output}"
