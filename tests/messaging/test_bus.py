"""The bus without a broker: its configuration, and what it says and does while nobody answers."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from koschei.errors import ConfigError
from koschei.messaging.bus import Bus
from koschei.messaging.receiver import Receiver

REPOSITORY = Path(__file__).parents[2]
# In a process of its own: Twisted's reactor can be started once, and its threads end with the process.
WITHOUT_A_BROKER = """
import sys, time
from pathlib import Path
from koschei.errors import BusError
from koschei.messaging.bus import Bus, Outgoing
from koschei.messaging.receiver import Receiver

def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, bus.state()
        time.sleep(0.01)

bus = Bus(Path(sys.argv[1]), Receiver(lambda topic, body: True, print))
state = bus.state()
assert not state.connected and state.outage is None, "nothing is known before the first try"
bus.start()
until(lambda: bus.state().outage)
state = bus.state()
assert not state.connected
assert state.outage.startswith("bus unreachable since 20"), state
assert "refused" in state.outage, state
begun = time.monotonic()
try:
    bus.publish(Outgoing("package.state.change", {}, "1", "koschei", "primary"))
except BusError as error:
    assert str(error) == bus.state().outage, error
else:
    raise AssertionError("sent to nobody")
assert time.monotonic() - begun < 1, "an outage that is known needs no waiting"
bus.close()
print("all is well")
"""


def receiver() -> Receiver:
    return Receiver(lambda topic, body: True, lambda outcome: None)


def test_a_configuration_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"fedmsg\.config_file: there is no file .*absent\.toml"):
        Bus(tmp_path / "absent.toml", receiver())


@pytest.mark.parametrize("text", ["amqp_url = ", "no_such_key = 1", "queues = 7"])
def test_a_configuration_file_that_makes_no_sense_is_an_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "fedora-messaging.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"fedmsg\.config_file: .*fedora-messaging\.toml cannot be used"):
        Bus(file, receiver())
    file.write_text('amqp_url = "amqp://127.0.0.1:9"')
    Bus(file, receiver())  # corrected, it is taken without a new process


def test_an_outage_is_told_and_the_process_still_ends(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        file = tmp_path / "fedora-messaging.toml"
        file.write_text(f'amqp_url = "amqp://127.0.0.1:{unused.getsockname()[1]}"')
        begun = time.monotonic()
        command = [sys.executable, "-c", WITHOUT_A_BROKER, str(file)]
        reply = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert reply.stdout.splitlines()[-1:] == ["all is well"], reply.stderr
    assert reply.returncode == 0
    assert time.monotonic() - begun < 50
