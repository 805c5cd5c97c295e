"""A private RabbitMQ for the demo and the tests: found or installed, started with everything in one folder, and stopped
for certain.

The node listens on 127.0.0.1, has an Erlang port mapper and a cookie of its own, and shares nothing with a RabbitMQ
that the machine may run anyway. It comes from Debian's or Fedora's package, or from KOSCHEI_RABBITMQ_SERVER.
"""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from demo.ports import HOST, free_ports

LEASH = Path(__file__).with_name("leash.py")
START_TIMEOUT = 120.0
STOP_TIMEOUT = 15.0
EPMD_TIMEOUT = 10.0
# Not /usr/sbin's wrapper: that one becomes the system's rabbitmq, in the system's folders.
SERVERS = (
    "/usr/lib/rabbitmq/bin/rabbitmq-server",
    "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server",
    "/opt/rabbitmq*/sbin/rabbitmq-server",
    "/opt/homebrew/opt/rabbitmq/sbin/rabbitmq-server",
)
EPMDS = ("/usr/lib/erlang/bin/epmd", "/usr/lib64/erlang/bin/epmd", "/usr/local/lib/erlang/bin/epmd")
AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
PACKAGE = "rabbitmq-server"


class RabbitError(RuntimeError):
    """The private RabbitMQ cannot be had; the message says why and what to do."""


def find_server(environ: Mapping[str, str] = os.environ) -> Path:
    """The program `rabbitmq-server` that can run a private node. Raises RabbitError when there is none."""
    if named := environ.get("KOSCHEI_RABBITMQ_SERVER"):
        if not os.access(named, os.X_OK):
            raise RabbitError(f"KOSCHEI_RABBITMQ_SERVER names {named}, which cannot be run")
        return Path(named)
    for pattern in SERVERS:
        for path in sorted(glob.glob(pattern), reverse=True):
            if os.access(path, os.X_OK):
                return Path(path)
    raise RabbitError(
        f"There is no RabbitMQ here: install the package {PACKAGE} (make system does, as root), "
        "or name the program with KOSCHEI_RABBITMQ_SERVER"
    )


def find_epmd() -> Path:
    """Erlang's port mapper. Raises RabbitError when there is none."""
    for path in (shutil.which("epmd"), *EPMDS):
        if path and os.access(path, os.X_OK):
            return Path(path)
    raise RabbitError("There is a RabbitMQ, but Erlang's epmd is not found: install Erlang's base package")


def install() -> None:
    """Install RabbitMQ if it is missing and we may. Raises RabbitError when it is not there afterwards."""
    try:
        find_server()
    except RabbitError:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (
            ["apt-get", "update", "-q"],
            ["apt-get", "install", "-y", "-q", "--no-install-recommends", PACKAGE],
        ):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RabbitError(
                f"{PACKAGE} could not be installed: {done.stderr.strip().splitlines()[-1:] or done.returncode}"
            ) from None
        find_server()


class Rabbit:
    """One RabbitMQ node, all of whose files are below `folder`. Its port and its data outlive `stop()` and `kill()`.

    Start it in a thread that lives as long as it is needed: the system ends the node with that thread, so that
    somebody who is killed leaves none behind.
    """

    def __init__(self, folder: Path) -> None:
        """Starts nothing yet. Raises RabbitError when there is no RabbitMQ."""
        self.folder = folder.absolute()
        self._server, self._epmd = find_server(), find_epmd()
        self.port, self._dist_port, self._epmd_port = free_ports(3)
        # A port mapper has one node of a name, and a node's files are under its name.
        self._node = f"koschei{secrets.token_hex(4)}@localhost"
        self._mapper: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its AMQP address, for its one user, in its one virtual host."""
        return f"amqp://guest:guest@{HOST}:{self.port}/%2F"

    @property
    def log(self) -> Path:
        """What the node wrote."""
        return self.folder / "node.log"

    @property
    def running(self) -> bool:
        """Whether the node's process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, wait: bool = True) -> None:
        """Start the node, and wait until it answers. Raises RabbitError with the end of its log when it does not."""
        if not self.running:
            self._prepare()
            self._start_mapper()
            self._process = self._spawn([str(self._server)], self.log)
        if wait:
            self.wait()

    def wait(self) -> None:
        """Return when the node answers. Raises RabbitError."""
        deadline = time.monotonic() + START_TIMEOUT
        while not self.answers():
            if not self.running or time.monotonic() > deadline:
                self.kill()
                raise RabbitError(f"RabbitMQ did not start; {self.log} ends with:\n{self._last_words()}")
            time.sleep(0.1)

    def answers(self) -> bool:
        """Whether the node speaks AMQP."""
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.settimeout(5)
                connection.sendall(AMQP_HEADER)
                return bool(connection.recv(1))
        except OSError:
            return False

    def stop(self) -> None:
        """End the node in an orderly way."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT)
        self.kill()

    def kill(self) -> None:
        """Kill the node as a crash would; what it had confirmed is there again after `start()`."""
        for process in (self._process, self._mapper):
            if process is not None:
                # The group: the server is a child of a shell script, and has helpers.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._process = self._mapper = None

    def remove(self) -> None:
        """End it and delete its files."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Rabbit:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.remove()

    def _prepare(self) -> None:
        home = self.folder / "home"
        if home.exists():
            return
        home.mkdir(parents=True)
        cookie = home / ".erlang.cookie"
        cookie.touch(mode=0o600)
        cookie.write_text(secrets.token_hex(20))
        (self.folder / "env.conf").touch()
        (self.folder / "enabled_plugins").write_text("[].\n")
        (self.folder / "rabbitmq.conf").write_text(
            "loopback_users = none\n"
            "log.file = false\n"
            "log.console = true\n"
            "log.console.level = warning\n"
            "vm_memory_high_watermark.absolute = 512MB\n"
            "disk_free_limit.absolute = 50MB\n"
        )

    def _start_mapper(self) -> None:
        """Run epmd ourselves: a node that finds none starts one that outlives it."""
        command = [str(self._epmd), "-port", str(self._epmd_port), "-address", HOST, "-relaxed_command_check"]
        self._mapper = self._spawn(command, self.folder / "epmd.log")
        deadline = time.monotonic() + EPMD_TIMEOUT
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection((HOST, self._epmd_port), timeout=1).close()
                return
            if self._mapper.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RabbitError(f"Erlang's epmd did not start on port {self._epmd_port}")
            time.sleep(0.02)

    def _spawn(self, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        leashed = [sys.executable, "-S", str(LEASH), str(os.getpid()), *command]
        with log.open("ab") as output:
            return subprocess.Popen(
                leashed,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env=self._environment(),
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("RABBITMQ_", "ERL_", "NOTIFY_"))}
        folder = self.folder
        return kept | {
            "HOME": str(folder / "home"),
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
            "RABBITMQ_PID_FILE": str(folder / "node.pid"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_SCHEMA_DIR": str(folder / "schema"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "config"),
            # Two schedulers are plenty for one client, and the node starts sooner.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
        }

    def _last_words(self) -> str:
        try:
            return self.log.read_bytes()[-2000:].decode(errors="replace")
        except FileNotFoundError:
            return "(nothing)"
