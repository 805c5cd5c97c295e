"""A router as a cluster has one: sends requests to processes that say they are ready, over connections it keeps.

It never sends a request twice: what a process does not answer is a failure (502), and so is nobody being ready (503).
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

PROBE_SECONDS = 0.4
"""Real ones notice a change after seconds, too: meanwhile a process that stops still gets requests."""


@dataclass
class Connection:
    """A connection to a process."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, head: bytes) -> tuple[bytes, bool]:
        """Send a request without a body; the whole answer, and whether the connection can be used again."""
        self.writer.write(head)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in answer.split(b"\r\n")[1:] if line)
        length = int(fields[b"content-length"])
        body = await self.reader.readexactly(0 if head.startswith(b"HEAD ") else length)
        return answer + body, fields.get(b"connection") != b"close"


@dataclass(eq=False)
class Endpoint:
    """A process that answers on a port, and the idle connections to it."""

    port: int
    ready: bool = False
    idle: list[Connection] = field(default_factory=list)

    async def connect(self) -> Connection:
        """A connection that nobody uses, and that the process has not closed meanwhile."""
        while self.idle:
            connection = self.idle.pop()
            if not connection.reader.at_eof():
                return connection
            connection.writer.close()
        return Connection(*await asyncio.open_connection("127.0.0.1", self.port))

    async def probe(self) -> None:
        """Ask whether it is ready, as the platform does; one that is not loses its connections."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            self.ready = False
        else:
            self.ready = await self._is_ready(Connection(reader, writer))
        if not self.ready:
            self.let_go()

    async def _is_ready(self, connection: Connection) -> bool:
        question = b"GET /healthz/ready HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"
        try:
            answer, _ = await connection.ask(question)
        except (OSError, EOFError):
            return False
        finally:
            connection.writer.close()
        return answer.startswith(b"HTTP/1.1 200 ")

    def let_go(self) -> None:
        """Close what is idle."""
        while self.idle:
            self.idle.pop().writer.close()


class Router:
    """`with Router() as router:` listens on `router.port`; `add` and `remove` processes at any time."""

    def __init__(self) -> None:
        self.endpoints: list[Endpoint] = []
        self.port = 0
        self._turn = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="router")

    def add(self, port: int) -> Endpoint:
        """A process that may become ready."""
        endpoint = Endpoint(port)
        self.endpoints = [*self.endpoints, endpoint]
        asyncio.run_coroutine_threadsafe(self._watch(endpoint), self._loop)
        return endpoint

    def remove(self, endpoint: Endpoint) -> None:
        """A process that is gone."""
        self._loop.call_soon_threadsafe(endpoint.let_go)
        self.endpoints = [one for one in self.endpoints if one is not endpoint]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                writer.write(await self._answer(head))
                await writer.drain()
        except (OSError, EOFError):
            pass  # the client has left
        finally:
            writer.close()

    async def _answer(self, head: bytes) -> bytes:
        ready = [endpoint for endpoint in self.endpoints if endpoint.ready]
        if not ready:
            return b"HTTP/1.1 503 Nobody is ready\r\nContent-Length: 0\r\n\r\n"
        self._turn += 1
        endpoint = ready[self._turn % len(ready)]
        connection = None
        try:
            connection = await endpoint.connect()
            answer, reusable = await connection.ask(head)
        except (OSError, EOFError) as error:
            if connection is not None:
                connection.writer.close()
            words = f"{type(error).__name__}: {error}".encode()
            return b"HTTP/1.1 502 Broken off\r\nContent-Length: %d\r\n\r\n" % len(words) + words
        if reusable and endpoint.ready:
            endpoint.idle.append(connection)
        else:
            connection.writer.close()
        return answer

    async def _watch(self, endpoint: Endpoint) -> None:
        while endpoint in self.endpoints:
            await endpoint.probe()
            await asyncio.sleep(PROBE_SECONDS)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        for endpoint in self.endpoints:
            endpoint.let_go()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # connections close one turn of the loop later

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()
