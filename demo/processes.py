"""Koschei's processes as children of the demo: started, started again when they die, and ended for certain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LEASH = Path(__file__).with_name("leash.py")
LOOK_SECONDS = 0.05
STOP_SECONDS = 12.0
SHORT_LIFE = 3.0
LONGEST_PAUSE = 5.0


def command(script: str, module: str) -> list[str]:
    """How an entry point is run: the installed script beside this Python, else its module."""
    path = Path(sys.executable).with_name(script)
    return [str(path)] if path.exists() else [sys.executable, "-m", module]


def call(
    arguments: Sequence[str], environment: Mapping[str, str], timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; it does not outlive us."""
    leashed = [sys.executable, "-S", str(LEASH), str(os.getpid()), *arguments]
    return subprocess.run(
        leashed,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@dataclass
class Child:
    """One process that is to run all the time."""

    name: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    not_before: float = 0.0
    deaths: int = 0
    quick_deaths: int = 0
    last_words: str = ""

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self.process.pid if self.process and self.process.poll() is None else None


class Supervisor:
    """Keeps children running, as Kubernetes would. `tell` hears of deaths and restarts.

    All are started by one thread that lives as long as the supervisor: the system ends a child when the thread that
    made it ends.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str], tell: Callable[[str], None]) -> None:
        self._logs, self._environment, self._tell = logs, dict(environment), tell
        self.children: dict[str, Child] = {}
        self._guard = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Begin to keep children running."""
        self._thread.start()

    def add(self, name: str, arguments: list[str]) -> None:
        """Have another child run from now on."""
        with self._guard:
            self.children[name] = Child(name, arguments, self._logs / f"{name}.log")

    def kill(self, name: str) -> bool:
        """Kill a child as a crash would; False when it does not run at the moment."""
        with self._guard:
            child = self.children[name]
            if child.process is None or child.process.poll() is not None:
                return False
            child.process.kill()
            return True

    def pids(self) -> dict[str, int | None]:
        """The process ids of those that run, by name."""
        with self._guard:
            return {name: child.pid for name, child in self.children.items()}

    def deaths(self) -> dict[str, int]:
        """How often each child has died and was started again."""
        with self._guard:
            return {name: child.deaths for name, child in self.children.items()}

    def hopeless(self) -> str | None:
        """Why it makes no sense to go on: a child that dies again and again as soon as it is started."""
        with self._guard:
            for child in self.children.values():
                if child.quick_deaths >= 5:
                    return f"{child.name} does not stay up; {child.log} ends with: {child.last_words}"
        return None

    def stop(self) -> None:
        """End all children: kindly, and after a while not."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopped.wait(LOOK_SECONDS):
                with self._guard:
                    for child in self.children.values():
                        self._look_after(child)
        finally:
            with self._guard:
                self._end_all()

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is not None and child.process.poll() is not None:
            self._bury(child, now)
        if child.process is None and now >= child.not_before:
            self._start(child, now)

    def _bury(self, child: Child, now: float) -> None:
        process = child.process
        if process is None:
            return
        child.process = None
        end_group(process.pid, signal.SIGKILL)  # what it may have left behind
        child.deaths += 1
        child.quick_deaths = child.quick_deaths + 1 if self._died_by_itself(process, child, now) else 0
        child.not_before = now + min(LONGEST_PAUSE, 0.2 * 2**child.quick_deaths)
        child.last_words = last_line(child.log)
        how = f"was killed by {signal.Signals(-process.returncode).name}" if process.returncode < 0 else "ended"
        self._tell(f"{child.name} {how} and is started again")

    @staticmethod
    def _died_by_itself(process: subprocess.Popen[bytes], child: Child, now: float) -> bool:
        return process.returncode >= 0 and now - child.started < SHORT_LIFE

    def _start(self, child: Child, now: float) -> None:
        leashed = [sys.executable, "-S", str(LEASH), str(os.getpid()), *child.command]
        with child.log.open("ab") as log:
            # A session of its own: Ctrl-C is for us, and we end the children.
            child.process = subprocess.Popen(
                leashed, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment, start_new_session=True
            )
        child.started = now

    def _end_all(self) -> None:
        running = [child.process for child in self.children.values() if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._tell(f"process {process.pid} did not end in time and was killed")
            end_group(process.pid, signal.SIGKILL)
            process.wait()


def end_group(pid: int, number: signal.Signals) -> None:
    """Signal all processes of a child's group; most often there is none left."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


def last_line(log: Path) -> str:
    """The last line of a log that says something."""
    try:
        lines = log.read_bytes()[-4000:].decode(errors="replace").strip().splitlines()
    except FileNotFoundError:
        return "(nothing)"
    return lines[-1] if lines else "(nothing)"
