"""Which pod sees which Secret, and that what the README says of them can be typed in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from koschei.config import load
from tests.deploy.manifests.kustomize import Object
from tests.deploy.manifests.manifests import OPENSHIFT, containers, strings, workloads

README = (OPENSHIFT / "README.md").read_text()
OWNERS = ["migrate", "migrate-pre", "migrate-post", "maintenance"]


def secrets(template: Object) -> dict[str, tuple[str, bool]]:
    """Where a pod has each Secret, and whether it starts only with it."""
    found = {}
    mounts = {mount["name"]: mount["mountPath"] for one in containers(template) for mount in one["volumeMounts"]}
    for volume in template["spec"]["volumes"]:
        if "projected" in volume:
            for source in volume["projected"]["sources"]:
                secret = source["secret"]
                found[secret["name"]] = (mounts[volume["name"]], not secret.get("optional", False))
        elif "secret" in volume:
            secret = volume["secret"]
            found[secret["secretName"]] = (mounts[volume["name"]], not secret.get("optional", False))
    return found


def table() -> dict[str, tuple[str, set[str], bool]]:
    """The README's table of Secrets: where, in which components, and whether it must be there."""
    row = re.compile(r"^\| `(koschei-\w+)` \| `([^`]+)` \| ([^|]+) \| (yes|no: [^|]+) \|$", re.MULTILINE)
    return {name: (where, set(who.split(", ")), must == "yes") for name, where, who, must in row.findall(README)}


def test_pods_have_the_secrets_that_the_table_says() -> None:
    written = table()
    assert set(written) == {"koschei-config", "koschei-frontend", "koschei-koji", "koschei-bus", "koschei-owner"}
    for name, template in workloads():
        component = template["metadata"]["labels"]["app.kubernetes.io/component"]
        expected = {
            secret: (where, must)
            for secret, (where, who, must) in written.items()
            if who == {"all"} or component in who
        }
        assert secrets(template) == expected, name


def test_only_jobs_own_the_tables() -> None:
    owners = [name for name, template in workloads() if "koschei-owner" in secrets(template)]
    assert sorted(owners) == sorted(f"jobs/Job/{name}" for name in OWNERS)


def test_the_environment_holds_no_secret() -> None:
    """Variables are seen by whoever may look at a pod; files are not."""
    for name, template in workloads():
        for container in containers(template):
            assert "envFrom" not in container, name
            assert "secretKeyRef" not in set(strings(container)), name


def examples() -> dict[str, str]:
    """The settings that the README shows, by their file's name."""
    return dict(
        re.findall(
            r"^`([\w-]+\.toml)`: [^`]*?(?:`[^`]*`[^`]*?)*?\n\n```toml\n(.*?)```", README, re.DOTALL | re.MULTILINE
        )
    )


def files_of_secrets() -> dict[str, list[str]]:
    """The files that the README's commands put into each Secret."""
    lines = re.findall(r"^    oc create secret generic (\S+) (.*)$", README, re.MULTILINE)
    return {name: re.findall(r"--from-file=(\S+)", rest) for name, rest in lines}


def test_there_is_a_command_for_each_secret_and_an_example_for_each_file() -> None:
    files = files_of_secrets()
    assert set(files) == set(table())
    shown = {name for names in files.values() for name in names if name.endswith(".toml")} - {"config.toml"}
    assert shown == set(examples())


@pytest.mark.parametrize(
    "kinds",
    [
        ("koschei-config",),
        ("koschei-config", "koschei-frontend"),
        ("koschei-config", "koschei-koji"),
        ("koschei-config", "koschei-owner"),
    ],
    ids=lambda kinds: kinds[-1],
)
def test_the_settings_in_the_readme_can_be_read_by_those_who_get_them(kinds: tuple[str, ...], tmp_path: Path) -> None:
    for kind in kinds:
        for name in files_of_secrets()[kind]:
            (tmp_path / name).write_text(examples().get(name, "no TOML: another file of the Secret"))
    config = load([tmp_path], {})
    assert config.database_config.host == "db.example.com"
    assert config.database_config.username == ("koschei-owner" if "koschei-owner" in kinds else "koschei")
    assert (config.flask.SECRET_KEY is not None) is ("koschei-frontend" in kinds)
    assert config.koji_config.login_method == ("ssl_login" if "koschei-koji" in kinds else "logout")
    assert str(config.fedmsg.config_file) == f"{table()['koschei-bus'][0]}/config.toml"


def test_certificates_are_where_the_settings_look_for_them() -> None:
    where, _, _ = table()["koschei-koji"]
    named = set(re.findall(rf"{where}/(\S+?)\"", examples()["40-koji.toml"]))
    assert named <= set(files_of_secrets()["koschei-koji"])


def test_no_file_here_has_a_secret_in_it() -> None:
    for path in OPENSHIFT.rglob("*"):
        if path.is_file():
            assert not re.search(r"BEGIN [A-Z ]*PRIVATE KEY|kind: Secret|stringData", path.read_text()), path
    assert re.findall(r'(?:password|SECRET_KEY) = "([^"]*)"', README) == ["...", "................", "..."]
