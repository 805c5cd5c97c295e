"""One logical connection to a Koji hub: logs in when needed, repeats what may be repeated, sorts what goes wrong.

The official client repeats calls for hours, sends an interrupted request again without a word, and does not recover
from an expired session that has written. Here it makes one attempt at a time, on a thread that can be left behind; the
rest is decided by what is known about that attempt.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar
from xmlrpc.client import Fault

import koji
import structlog
import tenacity

from koschei.config import KojiConfig
from koschei.errors import KojiOutage, KojiRefusal, LostReply
from koschei.koji import abandonable
from koschei.koji.faults import CLIENT_ERRORS, never_connected, refused_unseen, translate
from koschei.koji.login import Client, connect, login_method, longest_call

log = structlog.get_logger(__name__)
T = TypeVar("T")

TRIES = 3
BUDGET = 10.0
"""Seconds after which nothing is repeated any more; the services back off by themselves."""
LOGOUT_SECONDS = 3.0
NO_LOGOUT = "could not log out of Koji, which forgets idle sessions by itself"


@dataclass(frozen=True)
class Call:
    """One call in a multicall."""

    method: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def encoded(self) -> dict[str, Any]:
        return {"methodName": self.method, "params": list(koji.encode_args(*self.args, **self.kwargs))}


class KojiSession:
    """A connection to the hub of `config`; not for use by several threads at once.

    `anonymous` never logs in. `stop` ends waiting, for an answer or for the next try, within a second. `alive` is told
    whenever a call has ended, and not while one hangs. `clock` and `sleep` (seconds) are for tests.
    """

    def __init__(
        self,
        config: KojiConfig,
        *,
        anonymous: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
        stop: threading.Event | None = None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        """Connects to nothing yet. Raises ConfigError if the configured way to log in cannot work."""
        login_method(config)
        self.config = config
        self._anonymous = anonymous
        self._clock = clock
        self._stop = stop
        self._alive = alive
        self._sleep = sleep or (tenacity.sleep_using_event(stop) if stop else time.sleep)
        self._client: Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def read(self, method: str, /, *args: Any, **kwargs: Any) -> Any:
        """The answer to a call that changes nothing (or may be carried out twice), repeated within a small budget.

        Raises KojiOutage, KojiAuthError or KojiRefusal.
        """
        return self._patiently(lambda: self._ask(method, lambda client: client.callMethod(method, *args, **kwargs)))

    def multicall(self, calls: Sequence[Call]) -> list[Any | KojiRefusal]:
        """The answers to calls that change nothing, in their order; a call that Koji refused has a KojiRefusal there.

        Sent in requests of koji_config.multicall_chunk_size calls, each repeated like a read. Do not ask for a task's
        result with raise_fault in it: the task's own fault could be taken for one of this session.
        """
        size = self.config.multicall_chunk_size
        answers: list[Any | KojiRefusal] = []
        for start in range(0, len(calls), size):
            chunk = calls[start : start + size]
            answers += self._patiently(partial(self._ask, "multiCall", partial(_multicall, calls=chunk)))
        return answers

    def write(self, method: str, /, *args: Any, **kwargs: Any) -> Any:
        """The answer to a call that changes something; repeated only if it cannot have reached the hub.

        Raises LostReply when that is not known (look before doing it again), KojiOutage or KojiAuthError when nothing
        has happened, KojiRefusal when Koji said no.
        """
        return self._patiently(lambda: self._tell(method, args, kwargs))

    def close(self) -> None:
        """Log out, if Koji answers quickly; the session can be used again afterwards."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            abandonable.run(client.logout, seconds=LOGOUT_SECONDS)
        except abandonable.Abandoned as error:
            client.abandon()
            log.debug(NO_LOGOUT, reason=str(error))
            return
        except CLIENT_ERRORS as error:
            log.debug(NO_LOGOUT, reason=f"{type(error).__name__}: {error}")
        client.forget()

    def _patiently(self, attempt: Callable[[], T]) -> T:
        started = self._clock()

        def spent(state: tenacity.RetryCallState) -> bool:
            stopping = self._stop is not None and self._stop.is_set()
            return stopping or state.attempt_number >= TRIES or self._clock() - started >= BUDGET

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(KojiOutage),
            stop=spent,
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=3),
            sleep=self._sleep,
            reraise=True,
        )(attempt)

    def _ask(self, method: str, ask: Callable[[Client], T]) -> T:
        for last in (False, True):
            client = self._connected()
            try:
                return self._run(partial(ask, client))
            except abandonable.Abandoned as error:
                self._leave_behind()
                raise KojiOutage(f"Koji did not answer {method}: {error}") from error
            except CLIENT_ERRORS as error:
                if isinstance(error, koji.AuthError):
                    self._forget(reason=error)
                    if not last:
                        continue
                raise translate(method, error) from error
        raise AssertionError("unreachable")

    def _tell(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for last in (False, True):
            client = self._connected()
            lost_before = client.connections_lost
            try:
                return self._run(lambda client=client: client.callMethod(method, *args, **kwargs))  # type: ignore[misc]
            except abandonable.Abandoned as error:
                self._leave_behind()
                raise LostReply(f"Koji has not answered {method}: {error}") from error
            except CLIENT_ERRORS as error:
                lost = client.connections_lost - lost_before
                session_bad = isinstance(error, koji.AuthError)
                if session_bad:
                    self._forget(reason=error)
                if not _not_done(error, lost):
                    raise LostReply(
                        f"It is not known whether {method} was carried out; look before repeating it. "
                        f"{translate(method, error)}"
                    ) from error
                if session_bad and not last:
                    continue
                raise translate(method, error) from error
        raise AssertionError("unreachable")

    def _connected(self) -> Client:
        if self._client is None:
            try:
                self._client = self._run(partial(connect, self.config, anonymous=self._anonymous))
            except abandonable.Abandoned as error:
                raise KojiOutage(f"Could not log in to Koji: {error}") from error
        return self._client

    def _run(self, call: Callable[[], T]) -> T:
        try:
            return abandonable.run(call, seconds=longest_call(self.config), stop=self._stop)
        except KeyboardInterrupt:
            self._leave_behind()  # the call goes on by itself, and has the client
            raise
        finally:
            self._alive()

    def _forget(self, reason: Exception) -> None:
        if self._client is not None:
            self._client.forget()
            self._client = None
        log.info("the Koji session is not valid any more; logging in again", reason=str(reason))

    def _leave_behind(self) -> None:
        if self._client is not None:
            self._client.abandon()
            self._client = None


def _not_done(error: BaseException, connections_lost: int) -> bool:
    """Whether a write that ended in `error` certainly changed nothing.

    A fault is the hub's word about the request it came for; if a connection was lost before, the client had sent the
    request already, and the fault is about its repetition only.
    """
    if never_connected(error):
        return connections_lost <= 1  # the one that could not be opened
    if isinstance(error, koji.GenericError | Fault):
        refused = refused_unseen(error) or not isinstance(error, koji.AuthError)
        return refused and connections_lost == 0
    return False


def _multicall(client: Client, calls: Sequence[Call]) -> list[Any | KojiRefusal]:
    answers = client.callMethod("multiCall", [call.encoded() for call in calls])
    if not isinstance(answers, list) or len(answers) != len(calls):
        raise KojiOutage(
            f"Koji answered a multicall of {len(calls)} calls with {type(answers).__name__} of another size"
        )
    return [_element(call, answer) for call, answer in zip(calls, answers, strict=True)]


def _element(call: Call, answer: object) -> Any | KojiRefusal:
    if isinstance(answer, list) and len(answer) == 1:
        return answer[0]
    if not isinstance(answer, dict) or not isinstance(answer.get("faultCode"), int):
        raise KojiOutage(
            f"Koji answered {call.method} in a multicall with neither a value nor a fault: {answer!r:.200}"
        )
    error = koji.convertFault(Fault(answer["faultCode"], str(answer.get("faultString"))))
    if isinstance(error, koji.AuthError | koji.ServerOffline):
        raise error
    refusal = translate(call.method, error)
    if not isinstance(refusal, KojiRefusal):
        raise refusal
    return refusal
