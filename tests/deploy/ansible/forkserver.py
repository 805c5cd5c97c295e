"""Starts Ansible's modules in a process that has loaded the client library: that takes longer than all they do.

The modules are run unchanged, each in a process of its own, which is a copy of this one. Ansible is told that its
interpreter is a small program that hands over its files and arguments.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from tests.support import wait_until

CLIENT = """#!{python} -SIE
import array, json, os, socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect({address!r})
wish = json.dumps({{"arguments": sys.argv[1:], "environment": dict(os.environ), "folder": os.getcwd()}}).encode()
files = array.array("i", [0, 1, 2])
link.sendmsg([len(wish).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
link.sendall(wish)
answer = link.recv(1)
sys.exit(answer[0] if answer else 1)
"""


@contextlib.contextmanager
def interpreter(folder: Path) -> Iterator[str]:
    """The address of a program that can stand for `python` in `ansible_python_interpreter`."""
    address, program = folder / "fork.sock", folder / "python"
    program.write_text(CLIENT.format(python=sys.executable, address=str(address)))
    program.chmod(0o755)
    server = subprocess.Popen([sys.executable, "-m", "tests.deploy.ansible.forkserver", address])
    try:
        wait_until(address.exists, 60, "the server of processes to listen")
        yield str(program)
    finally:
        server.terminate()
        server.wait(30)


def serve(address: str) -> None:
    """Make a process for each that asks, until told to stop."""
    import kubernetes.dynamic  # noqa: F401
    import yaml  # noqa: F401

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{address}.new")
    listener.listen()
    os.rename(f"{address}.new", address)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        link, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _answer(link)
        link.close()


def _answer(link: socket.socket) -> None:
    """In a process between: run the module in another one, and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    files = array.array("i")
    size, extra, _, _ = link.recvmsg(4, socket.CMSG_LEN(3 * files.itemsize))
    files.frombytes(extra[0][2])
    wish = b""
    while len(wish) < int.from_bytes(size, "big"):
        wish += link.recv(65536)
    child = os.fork()
    if child == 0:
        link.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        _run(json.loads(wish))
    for file in files:
        os.close(file)
    _, status = os.waitpid(child, 0)
    link.send(bytes([os.waitstatus_to_exitcode(status) & 255]))
    os._exit(0)


def _run(wish: dict[str, object]) -> None:
    """As the interpreter itself would: a file, or what comes on standard input."""
    arguments, environment = wish["arguments"], wish["environment"]
    assert isinstance(arguments, list)
    assert isinstance(environment, dict)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(str(wish["folder"]))
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode) for number, mode in enumerate("rww"))
    status: object = 0
    try:
        if arguments:
            sys.argv = arguments
            runpy.run_path(arguments[0], run_name="__main__")
        else:
            sys.argv = ["-"]
            exec(compile(sys.stdin.read(), "<stdin>", "exec"), {"__name__": "__main__"})
    except SystemExit as error:
        status = error.code
    except BaseException:  # as the interpreter says it; nothing may go on in this copy of the server
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else 1 if status else 0)


if __name__ == "__main__":
    serve(sys.argv[1])
