"""Logins and the rules about call numbers.

A session remembers the call number of its last committed write: the same number again is refused with RetryError (the
client repeats a call whose reply it lost), a lower one with SequenceError. Reads leave no trace.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import koji

from .tables import User
from .world import World


@dataclass
class Session:
    id: int
    key: str
    user: User
    authtype: int
    start_ts: float
    update_ts: float
    renew_ts: float | None = None
    last_callnum: int | None = None
    expired: bool = False
    closed: bool = False


@dataclass(frozen=True)
class Credentials:
    """What a request carries, in headers or (old style) in its query string."""

    session_id: int
    key: str
    callnum: int | None


class Sessions:
    """All sessions. `lies_after_renew` says whether a renewed one keeps its old call number."""

    def __init__(self, world: World, clock: Callable[[], float], lies_after_renew: Callable[[], bool]) -> None:
        self._world = world
        self._clock = clock
        self._lies_after_renew = lies_after_renew
        self._sessions: dict[int, Session] = {}

    def login(self, user: User, authtype: int, credentials: Credentials | None, renew: bool = False) -> dict[str, Any]:
        """A new session, or with `renew` the same one with a new key."""
        now = self._clock()
        if renew and credentials is not None:
            session = self._known(credentials)
            session.key, session.expired, session.renew_ts = self._key(user), False, now
            if not self._lies_after_renew():
                session.last_callnum = None
        else:
            session = Session(len(self._sessions) + 1, self._key(user), user, authtype, now, now)
            self._sessions[session.id] = session
        return {"session-id": session.id, "session-key": session.key, "header-auth": True}

    def check_password(self, name: Any, password: Any) -> User:
        user = self._world.user(name) if isinstance(name, str) else None
        if user is None or user.password is None or user.password != password:
            raise koji.AuthError("invalid username or password")
        return user

    def authenticate(self, credentials: Credentials, method: str) -> Session:
        """The session of a call; faults 1002, 1007, 1008 or 1009 when it may not be made."""
        session = self._known(credentials)
        if session.expired:
            raise koji.AuthExpired(f'session "{session.id}" has expired')
        last, callnum = session.last_callnum, credentials.callnum
        if last is not None and callnum is not None:
            if last > callnum:
                raise koji.SequenceError(f"{last} > {callnum} (session {session.id})")
            if last == callnum:
                raise koji.RetryError(f"unable to retry call {callnum} (method {method}) for session {session.id}")
        session.update_ts = self._clock()
        return session

    def end_all(self, expire: bool) -> None:
        for session in self._sessions.values():
            if expire:
                session.expired = True
            else:
                session.closed = True

    def _known(self, credentials: Credentials) -> Session:
        session = self._sessions.get(credentials.session_id)
        if session is None or session.closed or session.key != credentials.key:
            raise koji.AuthError("Invalid session or bad credentials")
        return session

    @staticmethod
    def _key(user: User) -> str:
        return f"{user.id}-{secrets.token_urlsafe(15)}"
