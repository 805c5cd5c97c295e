"""Settings of the old Koschei that are not settings any more, with the reason or the replacement."""

from __future__ import annotations

from collections.abc import Sequence

_LIMITS = "set a memory limit on the service's container instead"
_HEALTH = "services answer on their health port instead (services.NAME.health_port)"
_COPR = "user rebuilds in Copr are not part of Koschei any more"
_LAYOUT = "pages bring their own layout and files"
_FILES = "templates and static files are part of the program"
_LOGGING = "logging has `level` and `format` only, and always writes to standard error"

# A `*` stands for one part of a dotted key; an entry covers everything below it. The first match counts.
RETIRED = {
    "plugins": "what they did is built in: the bus is used when fedmsg.config_file is set, "
    "messages are sent when fedmsg-publisher.enabled is, and who maintains what is read when pagure.owner_alias_url is",
    "secondary_koji_config": "one Koschei serves one Koji: put that Koji into koji_config",
    "secondary_mode": "one Koschei serves one Koji: put that Koji into koji_config",
    "copr": _COPR,
    "services.copr_resolver": _COPR,
    "services.copr_scheduler": _COPR,
    "osci": "reports for build groups to a CI system are not part of Koschei any more",
    "caching": "facts that are slow to get are kept in PostgreSQL; repositories are cached below directories.cachedir",
    "dependency.resolver_queue_size": "the resolver has no queue that could be limited",
    "services.*.memory_limit": _LIMITS,
    "services.*.virtual_memory_limit": _LIMITS,
    "services.*.watchdog": _HEALTH,
    "frontend.fedora_assets_url": _LAYOUT,
    "frontend.fedmenu_url": _LAYOUT,
    "frontend.fedmenu_data_url": _LAYOUT,
    "frontend.frontpage": "the front page is an overview of all collections",
    "frontend.frontpage_kwargs": "the front page is an overview of all collections",
    "directories.*": "only directories.cachedir can be set: " + _FILES,
    "alembic": "the migrations are part of the program",
    "database_config.drivername": "PostgreSQL is the only database",
    "logging.version": _LOGGING,
    "logging.disable_existing_loggers": _LOGGING,
    "logging.root": _LOGGING,
    "logging.loggers": _LOGGING,
    "logging.handlers": _LOGGING,
    "logging.formatters": _LOGGING,
    "logging.filters": _LOGGING,
    "flask.*": "flask.SECRET_KEY is the only setting of Flask; Koschei chooses the others",
}


def why_retired(key: Sequence[str]) -> str | None:
    """Why the (unknown) setting `key`, given as its parts, has gone; None when it never was a setting."""
    for pattern, reason in RETIRED.items():
        parts = pattern.split(".")
        if len(parts) <= len(key) and all(part in ("*", given) for part, given in zip(parts, key, strict=False)):
            return reason
    return None
