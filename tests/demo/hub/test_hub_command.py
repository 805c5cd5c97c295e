"""The koji command line, as people run it, against the stand-in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.hub import Hub, HubServer, Outcome

KOJI = Path(sys.executable).parent / "koji"
Run = Callable[..., str]


@pytest.fixture
def run(server: HubServer, tmp_path: Path) -> Run:
    """Runs `koji ARGS` and gives what it printed; login=True logs in with a password."""
    config = tmp_path / "koji.conf"
    config.write_text(server.client_config())

    def run(*args: str, login: bool = False, status: int = 0) -> str:
        who = ["--authtype=password", "--user=koschei", "--password=secret"] if login else ["--noauth"]
        command = [str(KOJI), "-c", str(config), "-s", server.hub_url, *who, *args]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_lists_what_is_tagged_and_packages_and_targets(run: Run) -> None:
    assert "bash-5.2.37-1.fc43" in run("list-tagged", "--latest", "--inherit", "f43-build")
    assert "rnv" in run("list-pkgs", "--tag", "f43")
    assert "f43-build" in run("list-targets")
    assert "Arches: x86_64 i686" in run("taginfo", "f43-build")
    assert "bash: None, mandatory" in run("list-groups", "f43-build")
    assert "builder1" in run("list-hosts")
    assert "x86_64/bash-5.2.37-1.fc43.x86_64.rpm" in run("buildinfo", "bash-5.2.37-1.fc43")
    assert "tagged into f43" in run("list-history", "--tag", "f43")


def test_greets_the_user(run: Run) -> None:
    assert "koschei!" in run("moshimoshi", login=True)


def test_builds_from_an_scm_url_and_shows_the_task(run: Run, hub: Hub) -> None:
    out = run("build", "--scratch", "--wait", "f43", "git+https://src.example.org/rpms/rnv#abc", login=True)
    task = int(out.split("Created task: ")[1].split()[0])
    assert "completed successfully" in out
    info = run("taskinfo", "-r", "-v", str(task))
    assert "Type: buildSRPMFromSCM" in info
    assert "Build Arch: i686" in info
    assert "build.log" in info
    assert "State: closed" in info


def test_uploads_a_source_rpm_and_builds_it(run: Run, hub: Hub, tmp_path: Path) -> None:
    srpm = tmp_path / "rnv-1.7.11-33.fc43.src.rpm"
    srpm.write_bytes(b"not really an RPM" * 100_000)  # more than one chunk
    run("build", "--scratch", "--wait", "--noprogress", "f43", str(srpm), login=True)
    (uploaded,) = (hub.topdir / "work" / "cli-build").glob(f"*/{srpm.name}")
    assert uploaded.read_bytes() == srpm.read_bytes()


def test_a_failed_build_gives_a_failing_command(run: Run, hub: Hub) -> None:
    hub.outcome = lambda context: Outcome("arch_failed")
    src = "git+https://src.example.org/rpms/rnv#abc"
    out = run("build", "--scratch", "--wait", "f43", src, login=True, status=1)
    assert "FAILED: BuildError: error building package" in out


def test_cancels_watches_and_lists_tasks(run: Run, hub: Hub) -> None:
    hub.outcome = lambda context: Outcome("stuck")
    src = "git+https://src.example.org/rpms/rnv#abc"
    out = run("build", "--scratch", "--nowait", "f43", src, login=True)
    task = int(out.split("Created task: ")[1].split()[0])
    hub.wait_for(lambda: len(hub.tasks[task].children) == 3)
    assert f"{task} " in run("list-tasks", "--mine", login=True)
    run("cancel", str(task), login=True)
    assert "canceled" in run("watch-task", str(task), status=1)
    assert "(no tasks)" in run("list-tasks", "--mine", login=True)


def test_runs_by_itself(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "demo.hub", "--topdir", str(tmp_path / "top"), "--quick"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as hub:
        assert hub.stdout is not None
        url = hub.stdout.readline().split()[1]
        try:
            config = str(tmp_path / "top" / "koji.conf")
            while "try:" not in hub.stdout.readline():
                pass
            listed = subprocess.run(
                [str(KOJI), "-c", config, "--noauth", "-s", url, "list-tagged", "f43"],
                capture_output=True, text=True, timeout=60, check=True,
            )  # fmt: skip
            assert "rnv-1.7.11-33.fc43" in listed.stdout
        finally:
            hub.terminate()
            assert hub.wait(timeout=60) == 0
