"""Continuous delivery: it runs what people run, trusts as little as it can, and ends with a pushed image."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[3]
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").iterdir())
# The tags of actions' own repositories were looked up, and give these.
KNOWN_ACTIONS = {
    "actions/checkout": "3d3c42e5aac5ba805825da76410c181273ba90b1",
    "actions/attest": "1e69f48acb82d1966a394da916b4c1698aa569d6",
    "sigstore/cosign-installer": "6f9f17788090df1f26f669e9d70d6ae9567deba6",
}
MAY_WRITE = {("deliver.yml", "image"): {"id-token", "attestations"}}
DEPLOYS = re.compile(r"\b(oc|kubectl|helm|ansible-playbook|rbac-playbook|ssh|scp|rsync|argocd|kustomize)\b")
BRANCHES = ["fedora-prod", "fedora-stage"]


def workflow(path: Path) -> dict[Any, Any]:
    found = yaml.safe_load(path.read_text())
    assert isinstance(found, dict)
    return found


def jobs() -> list[tuple[str, str, dict[str, Any]]]:
    """File, name and content of every job."""
    return [(path.name, name, job) for path in WORKFLOWS for name, job in workflow(path)["jobs"].items()]


def scripts() -> list[str]:
    return [step["run"] for _, _, job in jobs() for step in job.get("steps", ()) if "run" in step]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_one_to_github(path: Path) -> None:
    """GitHub's schema comes with the tool; nothing is fetched."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actions_are_pinned_to_commits_that_were_seen() -> None:
    used = re.findall(r"uses: (\S+)(.*)", "\n".join(path.read_text() for path in WORKFLOWS))
    foreign = [(name, comment) for name, comment in used if not name.startswith("./.github/workflows/")]
    assert foreign
    for name, comment in foreign:
        action, _, commit = name.partition("@")
        assert KNOWN_ACTIONS.get(action) == commit, name
        assert re.fullmatch(r"  # v\d+\.\d+\.\d+", comment), f"{name}: which version is it?"
    for name, _ in used:
        if name.startswith("./"):
            assert (REPOSITORY / name).is_file()


def test_rights_are_given_to_jobs_one_by_one() -> None:
    for path in WORKFLOWS:
        assert workflow(path)["permissions"] == {}, f"{path.name}: a job without words of its own has rights"
    for file, name, job in jobs():
        rights = job["permissions"]
        writes = {right for right, level in rights.items() if level == "write"}
        assert writes == MAY_WRITE.get((file, name), set()), f"{file}: {name}"
        assert {right for right, level in rights.items() if level == "read"} == {"contents"}


def test_secrets_are_for_the_delivering_job_only_and_never_in_a_script() -> None:
    users = {(file, name) for file, name, job in jobs() if "secrets." in yaml.dump(job)}
    assert users == {("deliver.yml", "image")}
    # What a pull request or a branch is called would be run as part of the script.
    assert [script for script in scripts() if "${{" in script] == []


def test_code_of_strangers_meets_no_secret_and_leaves_no_login() -> None:
    for path in WORKFLOWS:
        assert "pull_request_target" not in path.read_text()
    steps = [step for _, _, job in jobs() for step in job.get("steps", ())]
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_what_is_run_is_what_people_run() -> None:
    text = (REPOSITORY / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    called = {
        target for script in scripts() for target in re.findall(r"(?:^|sudo )make ([a-z-]+)", script, re.MULTILINE)
    }
    assert called == {"lint", "test", "test-deploy", "image"}
    assert called <= targets


def test_branches_and_tags_agree_with_what_is_imported() -> None:
    delivery = workflow(REPOSITORY / ".github" / "workflows" / "deliver.yml")
    assert delivery[True] == {"push": {"branches": BRANCHES}}  # YAML takes the word `on` for a truth
    environment = delivery["jobs"]["image"]["env"]
    assert environment["TAG"] == "${{ github.ref_name }}"
    overlays = "\n".join(path.read_text() for path in (REPOSITORY / "deploy" / "openshift").rglob("image.yaml"))
    imported = set(re.findall(r"name: (quay\.io/\S+)", overlays))
    assert imported == {f"{environment['IMAGE']}:{branch}" for branch in BRANCHES}


def test_an_image_is_tested_before_it_is_pushed_and_signed_before_its_tag_moves() -> None:
    delivery = workflow(REPOSITORY / ".github" / "workflows" / "deliver.yml")
    assert delivery["jobs"]["image"]["needs"] == "check"
    said = [step.get("run", step.get("uses", "")) for step in delivery["jobs"]["image"]["steps"]]
    order = [
        "make image",
        "make test-deploy",
        "skopeo copy",
        "cosign sign",
        "cosign attest",
        "actions/attest@",
        ':$TAG"',
    ]
    places = [next(number for number, text in enumerate(said) if word in text) for word in order]
    assert places == sorted(places)


def test_nothing_can_deploy() -> None:
    for script in scripts():
        assert not DEPLOYS.search(script), script
    for _, _, job in jobs():
        for step in job.get("steps", ()):
            assert not DEPLOYS.search(step.get("uses", "")), step


def test_the_checks_can_fail() -> None:
    assert DEPLOYS.search("oc apply -k deploy/openshift")
    assert DEPLOYS.search("ansible-playbook site.yml")
    assert not DEPLOYS.search("make test-deploy")
