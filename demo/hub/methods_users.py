"""Methods about the hub itself, users, sessions, events, channels and hosts."""

# ruff: noqa: N802, N803

from __future__ import annotations

import re
from typing import Any

import koji

from . import queryopts, rows
from .rpc import REGISTRY, Methods, named, rpc
from .world import CHANNELS

KOJI_VERSION = "1.35.3"
_EMPTY_ARCHES = """\
Traceback (most recent call last):
  File "/usr/share/koji-hub/kojihub/db.py", line 236, in _fetchMulti
    c.execute(query, values)
psycopg2.errors.SyntaxError: syntax error at or near ")"
"""


class UserMethods(Methods):
    @rpc()
    def getAPIVersion(self) -> int:
        return 1

    @rpc()
    def getKojiVersion(self) -> str:
        return KOJI_VERSION

    @rpc()
    def hello(self, *args: Any) -> str:
        return "Hello World"

    @rpc()
    def echo(self, *args: Any) -> list[Any]:
        return list(args)

    @rpc("system.listMethods")
    def listMethods(self) -> list[str]:
        return sorted({*REGISTRY, "login", "sslLogin", "multiCall"})

    # users and sessions

    @rpc()
    def logout(self, session_id: int | None = None) -> None:
        if self.session is None:
            raise koji.AuthError("Not logged-in")
        if session_id not in (None, self.session.id):
            raise koji.ActionNotAllowed("only admins or owner may logout other session")
        self.session.closed = True

    @rpc()
    def getLoggedInUser(self) -> Any:
        if self.session is None:
            return None
        user = self.session.user
        principal = user.krb_principals[0] if user.krb_principals else None
        return {**rows.user(user), "authtype": self.session.authtype, "krb_principal": principal}

    @rpc()
    def getUser(self, userInfo: Any = None, strict: bool = False, krb_princs: bool = True, groups: bool = False) -> Any:
        if userInfo is None:
            return rows.user(self.session.user) if self.session else None
        user = self.world.user(named(userInfo))
        if user is None:
            if strict:
                raise koji.GenericError(f"No such user: {userInfo!r}")
            return None
        answer = rows.user(user)
        if not krb_princs:
            del answer["krb_principals"]
        return answer

    @rpc()
    def getPerms(self) -> list[str]:
        user = self.user()
        return ["admin"] if user.admin else sorted(user.permissions)

    @rpc()
    def getUserPerms(self, userID: Any = None, with_groups: bool = True) -> list[str]:
        user = self.user() if userID is None else self.world.user(named(userID))
        if user is None:
            raise koji.GenericError(f"No such user: {userID!r}")
        return ["admin"] if user.admin else sorted(user.permissions)

    @rpc()
    def getAllPerms(self) -> list[dict[str, Any]]:
        return [{"id": 1, "name": "admin", "description": "Full administrator access."}]

    @rpc()
    def showSession(self) -> str:
        return f"session {self.session.id}: {vars(self.session)!r}" if self.session else "Not logged in"

    @rpc()
    def getSessionInfo(self, details: bool = False, user_id: Any = None) -> Any:
        if self.session is None:
            return None
        session = self.session
        return {
            "user_id": session.user.id,
            "authtype": session.authtype,
            "callnum": session.last_callnum,
            "exclusive": None,
            "expired": session.expired,
            "master": None,
            "start_time": rows.text_time(session.start_ts),
            "start_ts": session.start_ts,
            "update_time": rows.text_time(session.update_ts),
            "update_ts": session.update_ts,
            "renew_time": rows.text_time(session.renew_ts),
            "renew_ts": session.renew_ts,
        }

    # events

    @rpc()
    def getLastEvent(self, before: float | None = None, strict: bool = True) -> Any:
        times = self.world.event_times
        fitting = [index for index, ts in enumerate(times, 1) if before is None or ts < before]
        if fitting:
            return {"id": fitting[-1], "ts": times[fitting[-1] - 1]}
        return _nothing(strict)

    @rpc()
    def getEvent(self, id: int, strict: bool = True) -> Any:
        if 1 <= id <= len(self.world.event_times):
            return {"id": id, "ts": self.world.event_ts(id)}
        return _nothing(strict)

    # channels and hosts

    @rpc()
    def getChannel(self, channelInfo: Any, strict: bool = False) -> Any:
        wanted = named(channelInfo)
        for index, name in enumerate(CHANNELS, 1):
            if wanted in (index, name):
                return rows.channel(index, name)
        return _nothing(strict)

    @rpc()
    def listChannels(self, hostID: Any = None, event: int | None = None, enabled: bool | None = None) -> Any:
        host = None if hostID is None else self.world.host(named(hostID))
        names = CHANNELS if host is None else tuple(name for name in CHANNELS if name in host.channels)
        return [rows.channel(CHANNELS.index(name) + 1, name) for name in names]

    @rpc()
    def listHosts(
        self,
        arches: Any = None,
        channelID: Any = None,
        ready: bool | None = None,
        enabled: bool | None = None,
        userID: Any = None,
        queryOpts: dict[str, Any] | None = None,
    ) -> Any:
        """The arch filter is a whole-word match on the text a host was registered with."""
        if arches is not None and not arches:
            raise koji.xmlrpcplus.Fault(1, _EMPTY_ARCHES)
        words = [arches] if isinstance(arches, str) else arches or []
        channel = None if channelID is None else self.getChannel(channelID, strict=True)["name"]
        found = []
        for host in self.world.hosts.values():
            if words and not any(re.search(rf"\b{re.escape(word)}\b", host.arches) for word in words):
                continue
            if channel is not None and channel not in host.channels:
                continue
            if (
                ready not in (None, host.ready)
                or enabled not in (None, host.enabled)
                or userID not in (None, host.user_id)
            ):
                continue
            found.append(rows.host(host, self.hub.builder.load(host)))
        return queryopts.apply(found, queryOpts)

    @rpc()
    def getHost(self, hostInfo: Any, strict: bool = False, event: int | None = None) -> Any:
        host = self.world.host(named(hostInfo))
        if host is None:
            if strict:
                raise koji.GenericError(f"Invalid hostInfo: {hostInfo}")
            return None
        return rows.host(host, self.hub.builder.load(host))

    @rpc()
    def getLastHostUpdate(self, hostID: Any, ts: bool = False) -> Any:
        host = self.world.host(named(hostID))
        update = host.update_ts if host else None
        return update if ts else rows.text_time(update)


def _nothing(strict: bool) -> None:
    if strict:
        raise koji.GenericError("query returned no rows")
