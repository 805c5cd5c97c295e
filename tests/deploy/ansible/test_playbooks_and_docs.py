"""The guide and the playbooks name the same steps, variables are described alike everywhere, and style holds."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from koschei.config import load
from tests.deploy.ansible.playbooks import ANSIBLE, PLAYBOOKS
from tests.deploy.manifests.manifests import OPENSHIFT, REPOSITORY, jobs

ROLE = ANSIBLE / "roles" / "koschei"
GUIDE = (REPOSITORY / "docs" / "operations.md").read_text()


def tasks(playbook: str) -> list[dict[str, Any]]:
    (play,) = yaml.safe_load((ANSIBLE / playbook).read_text())
    found: list[dict[str, Any]] = play["tasks"]
    return found


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_the_guide_has_the_steps_of_the_playbook(playbook: str) -> None:
    """The first numbered list with names in bold after the last mention that is followed by one."""
    lists = re.findall(rf"`{re.escape(playbook)}`(?:(?!\n1\. ).)*?\n\n(1\. \*\*.+?)\n\n", GUIDE, re.DOTALL)
    steps = [re.findall(r"^\d+\. \*\*(.+?)\.\*\*", one, re.MULTILINE) for one in lists]
    assert [task["name"] for task in tasks(playbook)] in steps


def test_every_playbook_is_known_here() -> None:
    files = {
        str(path.relative_to(ANSIBLE))
        for folder in ("openshift-apps", "manual")
        for path in (ANSIBLE / folder).rglob("*.yml")
    }
    assert files == set(PLAYBOOKS)


def test_every_step_is_a_file_of_the_role_and_every_file_is_used() -> None:
    used = {task["ansible.builtin.include_role"]["tasks_from"] for playbook in PLAYBOOKS for task in tasks(playbook)}
    text = "".join(path.read_text() for path in (ROLE / "tasks").glob("*.yml"))
    used |= set(re.findall(r"include_tasks: (\w+)\.yml", text))
    assert used == {path.stem for path in (ROLE / "tasks").glob("*.yml")}


def test_variables_are_the_same_in_defaults_specification_and_readme() -> None:
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    specification = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["look"][
        "options"
    ]
    described = re.findall(r"^\| `(koschei_\w+)` \|", (ROLE / "README.md").read_text(), re.MULTILINE)
    assert set(defaults) == set(specification) == set(described)
    for name, option in specification.items():
        if option["type"] not in ("path",):
            assert option["default"] == defaults[name], name


@pytest.mark.parametrize("folder", ["ansible", "deploy", "docs"])
def test_variables_for_the_command_line_are_written_as_ansible_reads_them(folder: str) -> None:
    """`-e name=some words` is only the first of the words: what has spaces is JSON."""
    known = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    for page in (REPOSITORY / folder).rglob("*.md"):
        for option in re.findall(r"(?<=-e )(?:'[^']*'|[^\s`)]+)", page.read_text()):
            (word,) = shlex.split(option)
            given = yaml.safe_load(word) if word.startswith("{") else dict([word.split("=")])
            assert set(given) <= set(known), (page.name, option)


def test_jobs_that_the_playbooks_start_are_those_of_the_manifests() -> None:
    own = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["koschei_own_jobs"]
    assert sorted(own) == sorted(one["metadata"]["name"] for one in jobs())
    text = "".join(path.read_text() for path in (ROLE / "tasks").glob("*.yml"))
    assert set(re.findall(r"koschei_job: ([a-z-]+)", text)) == set(own)


@pytest.mark.parametrize("name", ["staging", "production"])
def test_an_inventory_is_an_overlay_with_its_host(name: str) -> None:
    settings = (ANSIBLE / "inventories" / name / "group_vars" / "koschei" / "settings.yml").read_text()
    host = yaml.safe_load((OPENSHIFT / "overlays" / name / "host.yaml").read_text())["spec"]["host"]
    assert f'external_url = "https://{host}"' in settings
    assert yaml.safe_load(settings)["koschei_overlay"] == name
    vault = yaml.safe_load(
        (ANSIBLE / "inventories" / name / "group_vars" / "koschei" / "vault.yml.example").read_text()
    )
    assert set(re.findall(r"{{ (vault_\w+) }}", settings)) == set(vault)
    assert set(vault.values()) == {""}


@pytest.mark.parametrize("name", ["staging", "production"])
def test_people_can_log_in_with_the_settings_of_an_inventory(name: str, tmp_path: Path) -> None:
    found = yaml.safe_load((ANSIBLE / "inventories" / name / "group_vars" / "koschei" / "settings.yml").read_text())
    files = {file: text for secret in found["koschei_secrets"].values() for file, text in secret.items()}
    for file, text in files.items():
        (tmp_path / file).write_text(re.sub(r"{{ (vault_\w+) }}", r"\1", text))
    config = load([tmp_path], {})
    assert config.frontend.auth.method == "oidc"
    others = [file for secret in found.get("koschei_secrets_base64", {}).values() for file in secret]
    assert [f"/etc/koschei/{file}" for file in others] == [
        value for key, value in config.koji_config.login_args.items() if key == "keytab"
    ]
    assert config.koji_config.login_method == ("gssapi_login" if name == "production" else "logout")


def test_nothing_secret_is_shown_by_a_task() -> None:
    """Tasks that have to do with what is in Secrets say `no_log`."""
    for path in (ROLE / "tasks").glob("*.yml"):
        for task in yaml.safe_load(path.read_text()):
            words = str({key: value for key, value in task.items() if key != "name"})
            if "ansible.builtin.fail" not in task and re.search(
                r"koschei_secrets|'kind': 'Secret'|koschei_secret_objects", words
            ):
                assert task.get("no_log") is True, (path.name, task["name"])
            if re.search(r"'apply': True", words):
                assert "server_side_apply" in words, "the content would be left in an annotation"


def run(*command: str | Path) -> str:
    bin_ = Path(sys.executable).parent
    reply = subprocess.run(
        [bin_ / command[0], *command[1:]],
        cwd=REPOSITORY,
        env=os.environ | {"PATH": f"{bin_}:{os.environ['PATH']}", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if reply.returncode == 0 else reply.stdout + reply.stderr


def test_yamllint_finds_nothing() -> None:
    assert run("yamllint", "--strict", "ansible", ".ansible-lint") == ""


def test_ansible_lint_finds_nothing() -> None:
    assert run("ansible-lint", "-c", ".ansible-lint", "--offline", "ansible") == ""
