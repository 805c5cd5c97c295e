"""What went wrong in a call, sorted by types and codes; the words of Koji's faults are shown, never interpreted.

The unmodified client raises its own exceptions for faults with a code it knows, `xmlrpc.client.Fault` for others, and
whatever requests, urllib3, expat, defusedxml or xmlrpc's parser raise for the rest.
"""

from __future__ import annotations

import re
import xml.parsers.expat
import xmlrpc.client

import koji
import requests
import urllib3.exceptions

from koschei.errors import KojiAuthError, KojiError, KojiOutage, KojiRefusal

WHERE = re.compile(r"^(?:<?\w*Connection(?:Pool)?(?:\([^)]*\)| object at 0x[0-9a-f]+>)?: )+")
"""How urllib3 begins its texts: with the connection it was using."""

NONSENSE = (
    xmlrpc.client.ResponseError,
    xml.parsers.expat.ExpatError,
    # xmlrpc's parser trusts its input and fails wherever a wrong document takes it; defusedxml's are ValueErrors
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)
"""What the client's parser raises for an answer that is not XML-RPC."""

CLIENT_ERRORS = (
    koji.GenericError,
    xmlrpc.client.Error,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
    *NONSENSE,
)
"""Everything a call through the official client can raise because of the hub or the way there."""


def translate(method: str, error: BaseException) -> KojiError:
    """Our error for one of CLIENT_ERRORS raised by a call of `method`."""
    if isinstance(error, koji.ServerOffline):
        return KojiOutage(f"Koji is offline ({method}): {error}")
    if isinstance(error, koji.AuthError):
        return KojiAuthError(f"Koji does not accept our session or credentials ({method}): {error}")
    if isinstance(error, koji.GenericError):
        return KojiRefusal(method, int(error.faultCode), str(error))
    if isinstance(error, xmlrpc.client.Fault):
        code: object = error.faultCode
        if not isinstance(code, int):
            return KojiOutage(f"Koji answered {method} with a fault whose code is {code!r:.100}")
        return KojiRefusal(method, code, str(error.faultString))
    if isinstance(error, requests.HTTPError) and error.response is not None:
        # its own text has the address, which with an old hub contains the session key
        return KojiOutage(f"Koji answered {method} with HTTP status {error.response.status_code}")
    if isinstance(error, requests.RequestException | urllib3.exceptions.HTTPError | OSError):
        return KojiOutage(f"Koji cannot be reached ({method}): {innermost(error)}")
    return KojiOutage(
        f"Koji answered {method} with something that is not XML-RPC: {type(error).__name__}: {error!s:.200}"
    )


def innermost(error: BaseException) -> str:
    """What the network said, without the layers around it: those repeat the address, with an old hub's session key."""
    while True:
        first = error.args[0] if error.args else None
        inner = getattr(error, "reason", None) or first
        if not isinstance(inner, BaseException):
            break
        error = inner
    text = WHERE.sub("", str(error)).strip()
    return text or type(error).__name__


def never_connected(error: BaseException) -> bool:
    """Whether there was no connection to send anything over: refused, no route, unknown host, timed out."""
    if not isinstance(error, requests.ConnectionError) or not error.args:
        return False
    reason = getattr(error.args[0], "reason", None)
    return isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)


def refused_unseen(error: BaseException) -> bool:
    """Whether the fault is one that the hub gives before it looks at the call: offline, or no valid session.

    RetryError (1009) is not: it says that a call with this number has already been carried out.
    """
    return isinstance(error, koji.ServerOffline | koji.AuthError) and not isinstance(error, koji.RetryError)
