"""What the operators' guide says of a database that is full is true."""

from __future__ import annotations

from sqlalchemy import text

from frontend.app import create_app
from koschei.db.engine import Database
from tests.guide.guide import GUIDE, VERBATIM, Installation

# As PostgreSQL reports a disk without room: SQLSTATE 53100, disk_full.
FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'could not extend file "base/1/2": No space left on device' USING ERRCODE = 'disk_full';
END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON log_entry FOR EACH ROW EXECUTE FUNCTION full_disk();
"""


def test_commands_are_refused_by_a_full_database_with_its_words_and_pages_go_on(
    installation: Installation, database: Database
) -> None:
    with database.begin() as session:
        session.execute(text(FULL))
    result = installation.run(database.url, VERBATIM[0])
    assert result.returncode == 3
    assert "PostgreSQL's disk is full" in result.stderr
    assert "PostgreSQL's disk is full" in GUIDE.read_text().replace("\n", " ")
    page = create_app(installation.config(database.url), database).test_client(use_cookies=False).get("/")
    assert page.status_code == 200
    assert "an older notice" in page.text
