"""What is said of an outage: the network's own words, and never the address with a session's key."""

from __future__ import annotations

import socket
import threading

import pytest
import requests

from koschei.koji.faults import translate


def words(address: str) -> str:
    """What we say when a request to this address goes wrong."""
    with pytest.raises(requests.RequestException) as raised:
        requests.post(f"{address}?session-id=7&session-key=secret", timeout=0.2)
    return str(translate("getTag", raised.value))


@pytest.fixture
def listener() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    return listener


def test_a_refused_connection_is_said_in_one_line() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        said = words(f"http://127.0.0.1:{unused.getsockname()[1]}/kojihub")
    assert said.startswith("Koji cannot be reached (getTag): Failed to establish a new connection:")
    assert "refused" in said
    assert "secret" not in said


def test_a_hub_that_says_nothing_is_named_as_such(listener: socket.socket) -> None:
    with listener:
        said = words(f"http://127.0.0.1:{listener.getsockname()[1]}/kojihub")
    assert said == "Koji cannot be reached (getTag): Read timed out. (read timeout=0.2)"


def test_a_closed_connection_does_not_show_the_address(listener: socket.socket) -> None:
    def hang_up() -> None:
        connection, _ = listener.accept()
        connection.close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    with listener:
        said = words(f"http://127.0.0.1:{listener.getsockname()[1]}/kojihub")
        thread.join()
    assert said.startswith("Koji cannot be reached (getTag): ")
    assert "secret" not in said
    assert "0x" not in said
