"""Logging: one line per event on standard error, as JSON or as text, for our own events and everybody else's.

Call `configure()` once per process. Modules say `log = get_logger(__name__)` and `log.info("what happened", key=1)`;
what goes for all lines of a piece of work is bound around it with `context()`. Secrets are hidden on the way out.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal, cast

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

MASK = "********"
# Names of values that are never written, and passwords in addresses (http://user:password@host).
SECRET_NAME = re.compile(r"passw|secret|token|authorization|cookie|api_?key|db_url|database_url", re.IGNORECASE)
URL_PASSWORD = re.compile(r"([a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(?=@)", re.IGNORECASE)
# Libraries that say more at INFO than anybody wants to read.
CHATTY = ("alembic.runtime.plugins", "httpcore", "httpx", "pika", "requests", "twisted", "urllib3")
# SQLAlchemy's, for statements; it keeps quiet below WARNING by itself, even when debugging.
SQL = "sqlalchemy.engine"


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module."""
    return structlog.stdlib.get_logger(name)


def context(**values: object) -> AbstractContextManager[None]:
    """Bind values (collection, package, task, ...) to all lines that this thread writes in a `with` block."""
    return cast(AbstractContextManager[None], structlog.contextvars.bound_contextvars(**values))


def configure(
    level: str = "INFO", format: Literal["json", "text"] = "json", *, service: str | None = None, sql: bool = False
) -> None:
    """Write lines of at least `level` to standard error, with `service` in each. Calling again replaces.

    With `sql` each statement is written too, whatever the level; otherwise none is.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _service_adder(service),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = _Handler(sys.stderr)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                hide_secrets,
                *_renderers(format),
            ],
        )
    )
    root = logging.getLogger()
    for old in [known for known in root.handlers if isinstance(known, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.NOTSET if level == "DEBUG" else logging.WARNING)
    logging.getLogger(SQL).setLevel(logging.INFO if sql else logging.NOTSET)
    logging.captureWarnings(True)


class _Handler(logging.StreamHandler[Any]):
    """Ours, to be told from those of others (pytest, gunicorn)."""


def _service_adder(service: str | None) -> Processor:
    # Not a context variable: the lines of all threads are the service's.
    def add_service(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        if service is not None:
            event["service"] = service
        return event

    return add_service


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide values that have a secret's name, and passwords in addresses; what JSON does not know becomes text."""
    return _hide_in_mapping(event)


def _hide_in_mapping(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): MASK if SECRET_NAME.search(str(name)) else _hide(value) for name, value in values.items()}


def _hide(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return _hide_in_mapping(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_hide(item) for item in value]
    return URL_PASSWORD.sub(rf"\g<1>{MASK}", str(value))  # a pydantic SecretStr hides itself


def _renderers(format: str) -> list[Processor]:
    if format == "json":
        return [structlog.processors.JSONRenderer()]
    return [
        _keep_to_one_line,
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        ),
    ]


def _keep_to_one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """What outsiders said must not look like a line of ours."""
    event["event"] = "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in str(event.get("event"))
    )
    return event
