"""Settings for show: everything that may be a secret is hidden."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from koschei.config.schema import Config

MASK = "********"
# What login methods and clients take that is no secret. Anything else in a free table is hidden.
LOGIN = {"user", "username", "cert", "serverca", "ca", "principal", "keytab", "ccache", "proxyuser", "krb_rdns"}
SESSION = {
    "timeout",
    "auth_timeout",
    "max_retries",
    "retry_interval",
    "anon_retry",
    "anon_max_retries",
    "offline_retry",
}
SESSION |= {"offline_retry_interval", "use_fast_upload", "no_ssl_verify", "debug", "debug_xmlrpc", "keepalive"}
BUILD = {"arch_override", "repo_id", "scratch", "fail_fast", "mergerepo", "wait_repo", "skip_tag"}
HARMLESS = frozenset(LOGIN | SESSION | BUILD)
FREE_TABLES = ("login_args", "session_opts", "build_opts")


def masked(config: Config) -> dict[str, Any]:
    """The settings as plain values under their names in files, fit for TOML or JSON, secrets hidden; None is unset."""
    tree: dict[str, Any] = _plain(config.model_dump(by_alias=True))
    koji = tree["koji_config"]
    for name in FREE_TABLES:
        koji[name] = {key: value if key in HARMLESS else MASK for key, value in koji[name].items()}
    if config.db_url is not None:
        tree["db_url"] = _masked_url(config.db_url.get_secret_value())
    return tree


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _masked_url(url: str) -> str:
    """The address without password and without options, which may hold one too."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    shown = parts._replace(netloc=f"{name}{colon and f':{MASK}'}{at}{host}", query=parts.query and MASK)
    return shown.geturl()
