"""What is in the image: what the lock file names, the same each time, and nothing that only builds need."""

from __future__ import annotations

import json
import os
import re
import tomllib
from typing import Any

import pytest

from tests.deploy.image.podman import REPOSITORY, Store
from tests.deploy.image.world import Image

# Run in the image: what its Python environment says of itself.
INSTALLED = """
import json, importlib.metadata as m
here = [one for one in m.distributions() if str(one.locate_file("")).startswith("/opt/koschei/")]
print(json.dumps([[one.metadata["Name"], one.version] for one in here]))
"""
# Compiled code that is neither checked against times nor missing, so that nothing is compiled in a read-only root.
COMPILED = """
import importlib.util, pathlib
root = pathlib.Path("/opt/koschei/lib")
sources = list(root.rglob("*.py"))
flags = {int.from_bytes(path.read_bytes()[4:8], "little") for path in root.rglob("*.pyc")}
lacking = [str(s) for s in sources if not pathlib.Path(importlib.util.cache_from_source(s)).exists()]
print(len(sources) > 500, flags, lacking)
"""
BUILDERS = "gcc cc c++ ld make git pip pip3 uv cargo pytest ruff mypy buildah hypothesis coverage".split()


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="session")
def bom(image: Image) -> dict[str, Any]:
    """The image's SBOM."""
    found = json.loads(image.run("cat", "/usr/share/koschei/sbom.cdx.json"))
    assert found["bomFormat"] == "CycloneDX"
    return dict(found)


@pytest.fixture(scope="session")
def sbom(bom: dict[str, Any]) -> dict[str, str]:
    """Names and versions of the wheels that it lists."""
    listed = [bom["metadata"]["component"], *(one for one in bom["components"] if one["purl"].startswith("pkg:pypi/"))]
    return {normalized(one["name"]): one["version"] for one in listed}


def locked() -> dict[str, str]:
    text = (REPOSITORY / "deploy" / "image" / "requirements.lock").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE))


def test_the_sbom_lists_what_is_installed(image: Image, sbom: dict[str, str]) -> None:
    installed = {normalized(name): version for name, version in json.loads(image.run("python", "-c", INSTALLED))}
    assert sbom == installed
    assert len(installed) > 40


def test_the_sbom_lists_the_distributions_packages(image: Image, bom: dict[str, Any]) -> None:
    listed = [one for one in bom["components"] if re.match(r"pkg:(deb|rpm)/", one["purl"])]
    count = "if command -v rpm >/dev/null; then rpm -qa | grep -vc ^gpg-pubkey; else dpkg-query -W | wc -l; fi"
    assert len(listed) == int(image.run("sh", "-c", count))
    assert "python3-libdnf5" in {one["name"] for one in listed}


def test_what_is_installed_is_what_the_lock_file_names(sbom: dict[str, str]) -> None:
    ours = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    expected = {normalized(name): version for name, version in locked().items()} | {"koschei": ours}
    assert {name: version for name, version in sbom.items() if expected.get(name) != version} == {}
    assert "requests-gssapi" in sbom


def test_the_beside_lying_sbom_is_the_one_inside(image: Image) -> None:
    assert image.run("cat", "/usr/share/koschei/sbom.cdx.json") == image.sbom.read_text()


def test_nothing_that_only_builds_or_tests_need_is_there(image: Image) -> None:
    found = image.run("sh", "-c", f"for name in {' '.join(BUILDERS)}; do command -v $name || true; done")
    assert found.split() == []
    places = (
        "ls -d /wheelhouse /deploy /image /build /root/.cache /opt/koschei/lib/python*/site-packages/{demo,bench,tests}"
    )
    assert image.run("sh", "-c", f"{places} 2>/dev/null || true".replace("{demo,bench,tests}", "demo")).split() == []
    tests = r"find /opt/koschei \( -name test -o -name tests -o -name '*.whl' -o -name demo -o -name bench \) -print"
    assert image.run("sh", "-c", tests).split() == []
    assert image.run("find", "/etc/koschei", "/var/cache/koschei", "-type", "f").split() == []


def test_the_code_is_compiled_for_a_root_that_cannot_be_written_to(image: Image) -> None:
    assert image.run("python", "-c", COMPILED).strip() == "True {1} []"


def test_any_user_may_read_all_of_it_and_change_none(image: Image) -> None:
    ours = "/opt/koschei /usr/share/koschei /etc/koschei"
    assert image.run("sh", "-c", f"find {ours} ! -readable -print").split() == []
    # Not `-writable`: it knows that the root is read-only. Root's, and for nobody else to write, group 0 included.
    loose = f"find {ours} ! -type l \\( -perm /022 -o ! -user root \\) -print"
    assert image.run("sh", "-c", loose).split() == []
    assert image.run("stat", "--format", "%A %u:%g", "/opt", "/usr").split()[0] == "drwxr-xr-x"


def test_the_image_says_what_it_is_and_bears_no_settings(image: Image) -> None:
    config = image.inspect()["Config"]
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in config["Labels"].items()}
    assert labels["title"] == "Koschei"
    assert labels["licenses"] == "GPL-2.0-or-later"
    assert "/" in labels["base.name"]
    assert re.fullmatch(r"[0-9a-f]{40}|unknown", labels["revision"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels["created"])
    assert labels["version"] in image.run("koschei-admin", "--version")
    assert config["User"] == "1001"
    assert config["ExposedPorts"] == {"8080/tcp": {}}
    assert config.get("Entrypoint") is None
    names = {word.partition("=")[0] for word in config["Env"]}
    assert not {name for name in names if name.startswith(("KOSCHEI", "PG", "KRB5"))}


def test_built_again_it_is_the_same_to_the_last_byte(
    image: Image, store: Store, request: pytest.FixtureRequest
) -> None:
    if "KOSCHEI_TEST_IMAGE" in os.environ:
        pytest.skip("somebody else built the image: KOSCHEI_TEST_IMAGE")
    base, variables, tree = (request.getfixturevalue(name) for name in ("base", "variables", "tree"))
    again = Image(store, "localhost/koschei-test-again", image.sbom)
    store.build(again.name, base, tree, **variables)
    first, second = image.inspect(), again.inspect()
    assert second["RootFS"]["Layers"] == first["RootFS"]["Layers"]
    assert second["Id"] == first["Id"]
