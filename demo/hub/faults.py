"""Outages on request: everything that was seen to go wrong between a client and a hub, switchable from a test or story.

The server asks `judge()` once for each request; what the data says (missing SRPMs, sessions) asks the flags.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

LOCKOUT_TEXT = "Server disabled for maintenance"


@dataclass(frozen=True)
class Verdict:
    """What happens to a request. Nothing set: it is answered."""

    slow: float = 0.0
    offline: str | None = None
    http: int | None = None
    html: bool = False
    reset: bool = False
    cut_before: bool = False
    cut_after: bool = False


class Faults:
    """All switches are off at first and after `clear()`. A method of None stands for any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.end_sessions: Callable[[bool], None] = lambda expire: None
        self.clear()

    def clear(self) -> None:
        """Everything works again. Sessions that have been expired or closed stay so."""
        with self._lock:
            self._offline: str | None = None
            self._lockout = False
            self._http: int | None = None
            self.files_status: int | None = None
            self._html = 0
            self._reset: Counter[str | None] = Counter()
            self._cut_before: Counter[str | None] = Counter()
            self._cut_after: Counter[str | None] = Counter()
            self._slow: dict[str | None, float] = {}
            self.hidden_srpms: set[str] = set()
            self.lies_after_renew = False

    # switches

    def offline(self, text: str | None = None) -> None:
        """Fault 1014 on everything, login included (ServerOffline)."""
        self._offline = text or ""

    def lockout(self) -> None:
        """Login and logout work, everything else is fault 1014 (LockOut)."""
        self._lockout = True

    def http(self, status: int) -> None:
        """Every request to the hub is answered with this HTTP status and no XML; files are not."""
        self._http = status

    def files(self, status: int) -> None:
        """Every file below /kojifiles is answered with this HTTP status."""
        self.files_status = status

    def html(self, n: int = 1) -> None:
        """The next n requests get a cheerful HTML page with status 200."""
        self._html = n

    def reset_next(self, method: str | None = None, n: int = 1) -> None:
        """The connection is reset before anything is read of the next n calls."""
        self._reset[method] = n

    def cut_reply_before(self, method: str | None = None, n: int = 1) -> None:
        """The connection is closed without a reply, and nothing has been done."""
        self._cut_before[method] = n

    def cut_reply_after(self, method: str | None = None, n: int = 1) -> None:
        """The call is done, its reply is lost."""
        self._cut_after[method] = n

    def slow(self, method: str | None, seconds: float) -> None:
        self._slow[method] = seconds

    def expire_sessions(self) -> None:
        """Every session now open answers 1007 until its client logs in again with renew."""
        self.end_sessions(True)

    def close_sessions(self) -> None:
        """Every session now open answers 1002 from now on."""
        self.end_sessions(False)

    def hide_srpm(self, nvr: str) -> None:
        """The SRPM's file is missing: no requires, no headers, no fault."""
        self.hidden_srpms.add(nvr)

    def lie_after_renew(self, on: bool = True) -> None:
        """A renewed session still holds the call number of its last write, as the real hub does."""
        self.lies_after_renew = on

    # the server's questions

    def judge(self, method: str) -> Verdict:
        with self._lock:
            offline = self._offline
            if offline is None and self._lockout and method not in ("login", "sslLogin", "logout"):
                offline = LOCKOUT_TEXT
            html = self._html > 0
            self._html -= html
            return Verdict(
                slow=self._slow.get(method, self._slow.get(None, 0.0)),
                offline=offline,
                http=self._http,
                html=html,
                reset=self._take(self._reset, method),
                cut_before=self._take(self._cut_before, method),
                cut_after=self._take(self._cut_after, method),
            )

    @staticmethod
    def _take(counter: Counter[str | None], method: str) -> bool:
        for key in (method, None):
            if counter[key] > 0:
                counter[key] -= 1
                return True
        return False
