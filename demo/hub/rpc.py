"""The way from a method name and parameters to an answer: argument conventions, faults, writes, multiCall.

Methods are functions marked `@rpc` in classes deriving from `Methods`. A class instance lives for one call and knows
who makes it. Faults are koji's own exceptions; anything else becomes code 1 with a traceback, as on a real hub.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from xmlrpc.client import Fault

import koji

from .sessions import Credentials, Session
from .tables import Tag, User

if TYPE_CHECKING:
    from .hub import Hub

F = TypeVar("F", bound=Callable[..., Any])
REGISTRY: dict[str, Callable[..., Any]] = {}
WRITES: set[str] = set()


def rpc(name: str | None = None, write: bool = False) -> Callable[[F], F]:
    """Publish a method. A write marks its session's call number when it succeeds."""

    def register(function: F) -> F:
        published = name or function.__name__
        # Python puts this name into its complaints about arguments, and clients have seen it on real hubs.
        function.__qualname__ = f"RootExports.{function.__name__}"
        REGISTRY[published] = function
        if write:
            WRITES.add(published)
        return function

    return register


class Methods:
    """What every method can ask: the hub, and who calls."""

    def __init__(self, hub: Hub, session: Session | None, credentials: Credentials | None = None) -> None:
        self.hub = hub
        self.world = hub.world
        self.session = session
        self.credentials = credentials

    def user(self) -> User:
        """The user logged in; fault 1004 for anonymous callers."""
        if self.session is None:
            raise koji.ActionNotAllowed("you must be logged in for this operation")
        return self.session.user

    def need(self, permission: str) -> User:
        user = self.user()
        if not user.admin and permission not in user.permissions:
            raise koji.ActionNotAllowed(f"{permission} permission required (logged in as {user.name})")
        return user

    def tag_by_info(self, info: Any, event: int | None = None) -> Tag:
        """The tag; the fault with the text that lookups of tag info give."""
        tag = self.world.tag(named(info), event)
        if tag is None:
            raise koji.GenericError(f"No such tagInfo: {info!r}")
        return tag

    def tag_by_id(self, info: Any) -> Tag:
        """The tag; the fault with the text that lookups of the id alone give."""
        tag = self.world.tag(named(info))
        if tag is None:
            raise koji.GenericError(f"No such entry in table tag: {info}")
        return tag


def named(info: Any) -> Any:
    """A name or id from what clients pass: text, number, or a dict with either."""
    if isinstance(info, dict):
        info = info.get("id", info.get("name"))
    if not isinstance(info, (str, int)):
        raise koji.ParameterError(f"Invalid type for id lookup: {type(info)}")
    return info


def integer(value: Any) -> int:
    if not isinstance(value, int):
        raise koji.ParameterError(f"Invalid type for value '{value}': {type(value)}, expected type <class 'int'>")
    return value


class Dispatcher:
    """Answers requests. `exports` is the class that holds all methods."""

    def __init__(self, hub: Hub, exports: type[Methods]) -> None:
        self._hub = hub
        self._exports = exports

    def answer(
        self, method: str, params: tuple[Any, ...], credentials: Credentials | None, ssl_user: User | None = None
    ) -> Any:
        """The result of a call. Raises `xmlrpc.client.Fault` with what the client is to see."""
        try:
            with self._hub.locked():
                self._hub.calls.requests += 1
                if method in ("login", "sslLogin"):
                    self._hub.calls.add(method, params)
                    return self._login(method, params, credentials, ssl_user)
                session = None if credentials is None else self._hub.sessions.authenticate(credentials, method)
                exports = self._exports(self._hub, session, credentials)
                wrote: list[str] = []
                result = (
                    self._multicall(exports, params, wrote)
                    if method == "multiCall"
                    else self._call(exports, method, params, wrote)
                )
                if wrote and session is not None and credentials is not None:
                    session.last_callnum = credentials.callnum
                return result
        except koji.GenericError as error:
            raise Fault(error.faultCode, str(error)) from error
        except Fault:
            raise
        except Exception as error:
            raise Fault(1, traceback.format_exc()) from error

    def _login(
        self, method: str, params: tuple[Any, ...], credentials: Credentials | None, ssl_user: User | None
    ) -> Any:
        args, options = _split(params)
        renew = bool(options.get("renew"))
        sessions = self._hub.sessions
        if method == "sslLogin":
            if ssl_user is None:
                raise koji.AuthError("could not verify client")
            return sessions.login(ssl_user, koji.AUTHTYPES["SSL"], credentials, renew)
        name, password = (*args, None, None)[:2]
        return sessions.login(sessions.check_password(name, password), koji.AUTHTYPES["NORMAL"], credentials, renew)

    def _call(self, exports: Methods, method: str, params: tuple[Any, ...], wrote: list[str]) -> Any:
        self._hub.calls.add(method, params)
        if method.startswith("host.") and exports.session is None:
            raise koji.AuthError("Not logged-in")
        function = REGISTRY.get(method)
        if function is None:
            raise koji.GenericError(f"Invalid method: {method}")
        args, options = _split(params)
        try:
            result = function(exports, *args, **options)
        except TypeError as error:
            trace = error.__traceback__
            if trace is not None and trace.tb_next is None:  # the call itself, not something inside
                raise koji.ParameterError(str(error)) from error
            raise
        if method in WRITES:
            wrote.append(method)
        return result

    def _multicall(self, exports: Methods, params: tuple[Any, ...], wrote: list[str]) -> list[Any]:
        answers: list[Any] = []
        for call in params[0]:
            try:
                answers.append([self._call(exports, call["methodName"], tuple(call["params"]), wrote)])
            except Exception as error:
                if isinstance(error, Fault):
                    code, text = error.faultCode, error.faultString
                elif isinstance(error, koji.GenericError):
                    code, text = error.faultCode, str(error)
                else:
                    code, text = 1, traceback.format_exc()
                lines = traceback.format_exception(error)
                answers.append({"faultCode": code, "faultString": text, "traceback": lines})
        return answers


def _split(params: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments: the latter are a last struct with __starstar."""
    if params and isinstance(params[-1], dict) and params[-1].get("__starstar"):
        options = dict(params[-1])
        del options["__starstar"]
        return params[:-1], options
    return params, {}
