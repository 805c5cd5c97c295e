"""The kustomizations give what `kubectl kustomize` gives, and nothing in them depends on where they are applied."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.deploy.manifests.kustomize import Object, UnknownFeatureError, merge, render
from tests.deploy.manifests.manifests import OPENSHIFT, OVERLAYS, REPOSITORY, everything, rendered, strings, title

KUSTOMIZATIONS = sorted(path.parent for path in OPENSHIFT.rglob("kustomization.yaml"))


def by_title(objects: list[Object]) -> dict[str, Object]:
    found = {title(one): one for one in objects}
    assert len(found) == len(objects), "two objects of the same kind and name"
    return found


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl to compare with")
@pytest.mark.parametrize("folder", KUSTOMIZATIONS, ids=lambda path: str(path.relative_to(OPENSHIFT)))
def test_our_renderer_and_kubectl_agree(folder: Path) -> None:
    answer = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert by_title(render(folder)) == by_title(list(yaml.safe_load_all(answer.stdout)))


def test_every_file_is_used() -> None:
    """A file that no kustomization names would be read by people and applied by nobody."""
    used = set()
    for folder in KUSTOMIZATIONS:
        plan = yaml.safe_load((folder / "kustomization.yaml").read_text())
        names = [*plan["resources"], *(patch["path"] for patch in plan.get("patches", ()))]
        used |= {(folder / name).resolve() for name in names} | {folder / "kustomization.yaml"}
    assert set(OPENSHIFT.rglob("*.yaml")) - used == set()


def test_the_readme_names_every_file_of_the_base() -> None:
    named = set(re.findall(r"`(?:base/)?([\w-]+\.yaml)`", (OPENSHIFT / "README.md").read_text()))
    described = {path.name for path in (OPENSHIFT / "base").glob("*.yaml")}
    # The account and the stream say what they are for in one line each.
    assert described - named == {"serviceaccount.yaml", "imagestream.yaml"}


@pytest.mark.parametrize(("name", "one"), everything(), ids=[name for name, _ in everything()])
def test_no_object_says_in_which_project_it_is(name: str, one: Object) -> None:
    assert "namespace" not in one["metadata"]
    assert one["kind"] not in ("Namespace", "Secret")


@pytest.mark.parametrize(("name", "one"), everything(), ids=[name for name, _ in everything()])
def test_every_object_says_what_it_belongs_to(name: str, one: Object) -> None:
    assert one["metadata"]["labels"]["app.kubernetes.io/part-of"] == "koschei"


def test_the_overlays_differ_in_what_they_must() -> None:
    """The same objects in both; what the people who use them see is different."""
    staging, production = ({title(one): one for one in rendered(overlay)} for overlay in OVERLAYS)
    assert set(staging) == set(production)
    hosts = [one["Route/frontend"]["spec"]["host"] for one in (staging, production)]
    tags = [one["ImageStream/koschei"]["spec"]["tags"][0]["from"]["name"] for one in (staging, production)]
    assert len(set(hosts)) == len(set(tags)) == 2
    assert [tag.rpartition(":")[2] for tag in tags] == ["fedora-stage", "fedora-prod"]
    assert production["Deployment/frontend"]["spec"]["replicas"] >= 2


def test_an_image_is_named_in_one_place() -> None:
    """Registries are named where the image comes from, and nowhere else."""
    named = [
        path.relative_to(OPENSHIFT).as_posix() for path in OPENSHIFT.rglob("*.yaml") if "quay.io" in path.read_text()
    ]
    assert sorted(named) == [f"overlays/{overlay}/image.yaml" for overlay in sorted(OVERLAYS)]
    for name, one in everything():
        images = [text for text in strings(one) if text.startswith(("koschei:", "koschei@"))]
        assert set(images) <= {"koschei:imported"}, name
    for overlay in OVERLAYS:
        (stream,) = (one for one in rendered(overlay) if one["kind"] == "ImageStream")
        assert [f"{stream['metadata']['name']}:{tag['name']}" for tag in stream["spec"]["tags"]] == ["koschei:imported"]
        assert stream["spec"]["tags"][0]["importPolicy"]["scheduled"] is False
        assert stream["spec"]["lookupPolicy"]["local"] is True


def test_nothing_rolls_out_by_itself() -> None:
    """An import must not restart anything: the playbooks do."""
    assert [name for name, one in everything() if "image.openshift.io/triggers" in strings(one)] == []


def test_yamllint_finds_nothing() -> None:
    config = REPOSITORY / ".yamllint.yaml"
    command = [sys.executable, "-m", "yamllint", "--strict", "-c", str(config), "deploy/openshift"]
    answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_renderer_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: []\nnamePrefix: x-\n")
    with pytest.raises(UnknownFeatureError, match="namePrefix"):
        render(tmp_path)
    with pytest.raises(UnknownFeatureError, match="env"):
        merge({"env": []}, {"env": None})


def test_a_patch_that_changes_nothing_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: []\npatches: [{path: one.yaml}]\n")
    (tmp_path / "one.yaml").write_text("kind: Deployment\nmetadata: {name: nobody}\n")
    with pytest.raises(UnknownFeatureError, match="changes nothing"):
        render(tmp_path)
