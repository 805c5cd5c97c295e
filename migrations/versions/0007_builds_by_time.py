"""Builds of all packages by their time, for the REST API's list of builds.

Revises: 0006
"""

from koschei.db.migrator import drop_index_concurrently, index_concurrently

revision = "0007"
down_revision = "0006"
phase = "pre"
branch_labels = None
depends_on = None


def upgrade() -> None:
    index_concurrently("ix_build_started_id", "build (started, id)")


def downgrade() -> None:
    drop_index_concurrently("ix_build_started_id")
