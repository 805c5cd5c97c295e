"""A service and the database's schema: it goes on while that is newer and admits it, and no longer."""

from __future__ import annotations

from sqlalchemy import text

from backend.frame import Context, PassReport
from koschei.db.engine import Database
from tests.backend.conftest import Serve
from tests.support import wait_until

RECORD = "INSERT INTO schema_revision (revision, phase, koschei_version) VALUES (:name, :phase, '9.0')"


def migrate(database: Database, name: str, phase: str) -> None:
    """What a newer version leaves behind when it has migrated the database."""
    with database.begin() as session:
        session.execute(text(RECORD), {"name": name, "phase": phase})
        session.execute(text("UPDATE alembic_version SET version_num = :name"), {"name": name})


def test_a_running_service_goes_on_until_what_it_uses_is_taken_away(serve: Serve, database_url: str) -> None:
    database = Database(database_url)
    passes = []

    def one_pass(context: Context) -> PassReport:
        passes.append(1)
        return PassReport()

    service = serve(database_url, one_pass, interval=0.02)
    wait_until(lambda: passes)
    migrate(database, "8001", "pre")
    before = len(passes)
    wait_until(lambda: len(passes) > before + 3)
    assert service.health.status("ready") == 200

    migrate(database, "8002", "post")
    wait_until(lambda: service.health.status("ready") == 503)
    assert "run the image of Koschei 9.0 or newer" in service.health.facts()["error"]
    before = len(passes)
    failures = service.runner.failures
    wait_until(lambda: service.runner.failures > failures)
    assert len(passes) == before
    service.stop()
    database.dispose()
