"""Packages by number, collection and state: lists and groups are counted without reading a row of the table.

Revises: 0008
"""

from koschei.db.migrator import drop_index_concurrently, index_concurrently

revision = "0009"
down_revision = "0008"
phase = "pre"
branch_labels = None
depends_on = None

NAME = "ix_package_base_id_collection_id_state"


def upgrade() -> None:
    index_concurrently(NAME, "package (base_id, collection_id, state)")


def downgrade() -> None:
    drop_index_concurrently(NAME)
