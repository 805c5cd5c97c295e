"""The official client: its options, and the ways to log in."""

from __future__ import annotations

import importlib.util
from typing import Any

import koji
import requests

from koschei.config import KojiConfig
from koschei.errors import ConfigError, KojiAuthError, KojiOutage
from koschei.koji.faults import CLIENT_ERRORS, translate

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 120.0
"""Seconds without a byte; the latest builds of a big tag take the hub tens of seconds."""

OPTIONS: dict[str, Any] = {
    "timeout": (CONNECT_TIMEOUT, READ_TIMEOUT),
    "auth_timeout": (CONNECT_TIMEOUT, 30.0),
    # We repeat ourselves, within a budget; the client would do it for hours. gssapi_login needs 1 to try at all.
    "max_retries": 1,
    "retry_interval": 0.5,
    "anon_retry": True,
    "offline_retry": False,
}

ARGUMENTS: dict[str, frozenset[str]] = {
    "logout": frozenset(),
    "login": frozenset({"user", "password"}),
    "ssl_login": frozenset({"cert", "ca", "serverca", "proxyuser", "proxyauthtype"}),
    "gssapi_login": frozenset({"principal", "keytab", "ccache", "proxyuser", "proxyauthtype"}),
}
"""Arguments that each login method takes."""

REQUIRED = {"login": frozenset({"user", "password"}), "ssl_login": frozenset({"cert"})}


class Client(koji.ClientSession):  # type: ignore[misc]  # koji has no types
    """The official client, counting the connections it gave up: a request may have arrived over each of them.

    It repeats a request once, silently, when the connection breaks; that is when it opens a new one.
    """

    connections_lost = -1  # the first one is opened by the constructor
    _answers: list[requests.Response]

    def new_session(self) -> None:
        self.connections_lost += 1
        # the client leaves an answer with an HTTP error open, and its connection with it
        for answer in self.__dict__.get("_answers", []):
            answer.close()
        super().new_session()
        answers: list[requests.Response] = []
        self._answers = answers
        self.rsession.hooks["response"].append(lambda answer, **_: answers.__setitem__(slice(None), [answer]))

    def forget(self) -> None:
        """Give the session up without telling the hub, as the client's own `__del__` would, waiting for an answer."""
        self.abandon()
        self.new_session()
        self.rsession.close()

    def abandon(self) -> None:
        """Give the session up while another thread is in a call: closing what it reads from would wait for it."""
        self.setSession(None)


def options(config: KojiConfig) -> dict[str, Any]:
    """Options of the client: ours, overridden by koji_config.session_opts."""
    merged = {**OPTIONS, **config.session_opts}
    for name in ("timeout", "auth_timeout"):
        if isinstance(merged[name], list):  # TOML has no tuples, requests takes no lists
            merged[name] = tuple(merged[name])
    return merged


def longest_call(config: KojiConfig) -> float:
    """Seconds after which a call that is still running is given up, even if bytes keep dripping in."""
    timeout = options(config)["timeout"]
    return 2 * float(sum(timeout) if isinstance(timeout, tuple) else timeout or READ_TIMEOUT)


def login_method(config: KojiConfig) -> str:
    """Name of the client's login method; `logout` means none. Raises ConfigError if it cannot be used as configured."""
    method = "gssapi_login" if config.login_method == "krb_login" else config.login_method
    given = frozenset(config.login_args)
    if unknown := sorted(given - ARGUMENTS[method]):
        allowed = ", ".join(sorted(ARGUMENTS[method])) or "none"
        raise ConfigError(
            f"koji_config.login_args: {config.login_method} takes no {', '.join(unknown)} (its arguments: {allowed})"
        )
    if missing := sorted(REQUIRED.get(method, frozenset()) - given):
        raise ConfigError(f"koji_config.login_args: {config.login_method} needs {', '.join(missing)}")
    if method == "gssapi_login" and importlib.util.find_spec("requests_gssapi") is None:
        raise ConfigError(
            f"koji_config.login_method: {config.login_method} needs the Python package requests-gssapi; "
            "install koschei[kerberos], or log in another way"
        )
    return method


def connect(config: KojiConfig, *, anonymous: bool) -> Client:
    """A client, logged in unless `anonymous`.

    Raises KojiOutage, KojiAuthError or KojiRefusal; nothing but the login has been sent then.
    """
    opts = options(config)
    method = "logout" if anonymous else login_method(config)
    arguments = dict(config.login_args)
    match method:
        case "login":
            opts |= arguments
            arguments = {}
        case "ssl_login" if "serverca" in arguments:
            opts["serverca"] = arguments["serverca"]
    client = Client(config.server, opts)
    if method != "logout":
        try:
            if not getattr(client, method)(**arguments):
                raise koji.AuthError("the hub opened no session")
        except koji.AuthError as error:
            client.forget()
            if not error.fromFault:
                _raise_if_away(config.server, opts)
            raise KojiAuthError(
                f"Koji at {config.server} does not let us in with {config.login_method}: {error}. "
                "Check koji_config.login_args."
            ) from error
        except CLIENT_ERRORS as error:
            client.forget()
            raise translate(method, error) from error
    if "max_retries" not in config.session_opts:
        client.opts["max_retries"] = 0
    client.connections_lost = 0
    return client


def _raise_if_away(server: str, opts: dict[str, Any]) -> None:
    """Raise KojiOutage if the hub does not work at all.

    ssl_login and gssapi_login report every trouble, an unplugged cable too, as an AuthError of their own.
    """
    client = Client(server, opts)
    try:
        client.callMethod("getAPIVersion")
    except CLIENT_ERRORS as error:
        trouble = translate("getAPIVersion", error)
        if isinstance(trouble, KojiOutage):
            raise trouble from error
    finally:
        client.forget()
