"""Log lines: their shape, where they come from, and what is never in them."""

from __future__ import annotations

import json
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from pydantic import SecretStr
from sqlalchemy import text

from koschei.config import Config
from koschei.db.engine import Database
from koschei.logs import CHATTY, SQL, configure, context, get_logger

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def _logging_is_put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in (*CHATTY, SQL)}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    """The JSON lines written since the last call."""
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_an_event_is_one_json_line_with_time_level_logger_and_service(lines: Lines) -> None:
    configure("INFO", "json", service="scheduler")
    get_logger("koschei.builds").info(
        "build submitted\nreally", package="rnv", task=7, when=datetime(2026, 1, 1, tzinfo=UTC)
    )
    (line,) = lines()
    written = datetime.fromisoformat(line.pop("timestamp"))
    assert abs((datetime.now(UTC) - written).total_seconds()) < 60
    assert line == {
        "event": "build submitted\nreally",
        "level": "info",
        "logger": "koschei.builds",
        "service": "scheduler",
        "package": "rnv",
        "task": 7,
        "when": "2026-01-01 00:00:00+00:00",
    }


def test_lines_of_other_libraries_have_the_same_shape(lines: Lines) -> None:
    configure(service="watcher")
    logging.getLogger("some.library").warning("%d things", 3, extra={"host": "a"})
    (line,) = lines()
    assert (line["event"], line["level"], line["logger"], line["service"], line["host"]) == (
        "3 things", "warning", "some.library", "watcher", "a",
    )  # fmt: skip


def test_lines_below_the_level_are_not_written(lines: Lines) -> None:
    configure("WARNING")
    get_logger("koschei").info("no")
    logging.getLogger("library").info("no")
    get_logger("koschei").warning("yes")
    assert [line["event"] for line in lines()] == ["yes"]


def test_chatty_libraries_are_heard_only_when_debugging(lines: Lines) -> None:
    configure("INFO")
    logging.getLogger("httpx").info("no")
    configure("DEBUG")
    logging.getLogger("httpx").info("yes")
    assert [line["event"] for line in lines()] == ["yes"]


def test_statements_are_written_when_they_are_asked_for_and_only_then(lines: Lines, database_url: str) -> None:
    database = Database(database_url)

    def events() -> list[str]:
        with database.begin() as session:
            session.execute(text("SELECT 'me' WHERE :what = 'parameter'"), {"what": "parameter"})
        return [line["event"] for line in lines() if line["logger"] == f"{SQL}.Engine"]

    configure("WARNING", sql=True)
    written = events()
    assert "SELECT 'me' WHERE %(what)s = 'parameter'" in written
    assert any("{'what': 'parameter'}" in event for event in written)
    configure("DEBUG")
    assert events() == []
    database.dispose()


def test_configuring_again_replaces_and_does_not_double(lines: Lines) -> None:
    configure(service="one")
    configure(service="two")
    get_logger("koschei").info("once")
    assert [line["service"] for line in lines()] == ["two"]


def test_other_handlers_are_left_alone() -> None:
    other = logging.NullHandler()
    logging.getLogger().addHandler(other)
    configure()
    configure()
    assert other in logging.getLogger().handlers


def test_context_is_in_all_lines_of_a_block_and_the_service_in_those_of_all_threads(lines: Lines) -> None:
    configure(service="polling")
    with context(collection="f42"):
        get_logger("koschei").info("inside")
        logging.getLogger("library").info("inside too")
        thread = threading.Thread(target=lambda: get_logger("koschei").info("elsewhere"))
        thread.start()
        thread.join()
    get_logger("koschei").info("outside")
    assert [line.get("collection") for line in lines()] == ["f42", "f42", None, None]
    get_logger("koschei").info("outside")
    assert lines()[0]["service"] == "polling"


def test_an_exception_is_written_with_its_traceback_in_the_same_line(lines: Lines) -> None:
    configure()
    try:
        raise ValueError("postgresql://koschei:hush@db/koschei is away")
    except ValueError:
        get_logger("koschei").exception("could not")
    (line,) = lines()
    assert "Traceback" in line["exception"]
    assert "ValueError: postgresql://koschei:********@db/koschei is away" in line["exception"]


def test_secrets_are_never_written(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    config = Config.model_validate(
        {
            "db_url": "postgresql://koschei:hush@db/koschei",
            "flask": {"SECRET_KEY": "hush-hush-hush-hush"},
            "database_config": {"password": "hush"},
            "koji_config": {"login_args": {"password": "hush"}},
        }
    )
    for format in ("json", "text"):
        configure(format=format)  # type: ignore[arg-type]
        log = get_logger("koschei")
        log.info("cannot reach amqp://user:hush@broker:5672//", config=config, password="hush", Cookie="hush")
        log.info("nested", headers={"Authorization": "hush", "list": ["http://a:hush@b/"]}, value=SecretStr("hush"))
        logging.getLogger("library").warning("see %s", config.database_url(), extra={"session_token": "hush"})
    written = capsys.readouterr().err
    assert "hush" not in written
    assert written.count("amqp://user:********@broker") == 2


def test_text_keeps_an_event_to_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure(format="text", service="frontend")
    get_logger("koschei").info("said\n2026-01-01 [info] forged \x1b[31m", package="a\nb")
    (line,) = capsys.readouterr().err.splitlines()
    assert r"said\n2026-01-01 [info] forged \x1b[31m" in line
    assert "service=frontend" in line


def test_python_warnings_are_logged(lines: Lines) -> None:
    configure()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)
    (line,) = lines()
    assert line["logger"] == "py.warnings"
    assert "DeprecationWarning: old thing" in line["event"]
