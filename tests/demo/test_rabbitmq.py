"""The private RabbitMQ: found or explained, and nothing of it is left behind however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from demo import bus, rabbitmq
from demo.rabbitmq import Rabbit, RabbitError, find_epmd, find_server
from tests.support import wait_until

REPOSITORY = Path(__file__).parents[2]
OWNER = (
    "import sys, time; from pathlib import Path; from demo.rabbitmq import Rabbit\n"
    "node = Rabbit(Path(sys.argv[1])); node.start(); print(node.port, flush=True); time.sleep(600)"
)


def processes(mark: str) -> list[str]:
    """The programs that carry the mark in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if mark.encode() in (entry / "environ").read_bytes():
                found.append((entry / "comm").read_text().strip())
        except OSError:
            continue  # ended meanwhile, or somebody else's
    return found


def test_the_program_that_is_named_counts(tmp_path: Path) -> None:
    program = tmp_path / "rabbitmq-server"
    program.touch(mode=0o755)
    assert find_server({"KOSCHEI_RABBITMQ_SERVER": str(program)}) == program
    with pytest.raises(RabbitError, match=r"KOSCHEI_RABBITMQ_SERVER names .*absent, which cannot be run"):
        find_server({"KOSCHEI_RABBITMQ_SERVER": str(tmp_path / "absent")})


def test_without_rabbitmq_it_is_said_what_to_do_and_the_demo_goes_on_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbitmq, "SERVERS", ())
    monkeypatch.delenv("KOSCHEI_RABBITMQ_SERVER", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(RabbitError, match="install the package rabbitmq-server"):
        rabbitmq.install()
    told: list[str] = []
    assert bus.started(tmp_path, told.append) is None
    assert told[-1].startswith(
        "there is no message bus here: events are queued, and none is sent. There is no RabbitMQ"
    )


def test_a_node_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "rabbitmq-server"
    program.write_text("#!/bin/sh\necho the disk is full\n")
    program.chmod(0o755)
    monkeypatch.setenv("KOSCHEI_RABBITMQ_SERVER", str(program))
    needs_rabbitmq()
    with pytest.raises(RabbitError, match=r"(?s)did not start; .*node\.log ends with:.*the disk is full"):
        Rabbit(tmp_path / "node").start()


def test_when_its_owner_is_killed_neither_the_node_nor_its_port_mapper_is_left(tmp_path: Path) -> None:
    needs_rabbitmq()
    mark = f"rabbit-{uuid.uuid4().hex}"
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path / "node")],
        cwd=REPOSITORY,
        env={**os.environ, "KOSCHEI_TEST_MARK": mark},
        stdout=subprocess.PIPE,
    )
    assert owner.stdout is not None
    with owner.stdout:
        assert owner.stdout.readline().strip().isdigit()
    assert any("beam" in name for name in processes(mark))
    assert "epmd" in processes(mark)
    owner.send_signal(signal.SIGKILL)
    owner.wait(60)
    wait_until(lambda: not processes(mark), message="everything to end")


def needs_rabbitmq() -> None:
    try:
        find_server()
        find_epmd()
    except RabbitError as error:
        pytest.skip(str(error))
