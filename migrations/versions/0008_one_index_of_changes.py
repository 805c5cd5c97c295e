"""The index on the first version of a change goes: that on both versions (0005) finds the same.

Revises: 0007
"""

from koschei.db.migrator import drop_index_concurrently, index_concurrently

revision = "0008"
down_revision = "0007"
phase = "pre"
branch_labels = None
depends_on = None
harmless = {"DROP INDEX CONCURRENTLY": "what looked for the first version finds it at the head of the other index"}


def upgrade() -> None:
    drop_index_concurrently("ix_applied_change_dep_id")


def downgrade() -> None:
    index_concurrently("ix_applied_change_dep_id", "applied_change (coalesce(prev_dep_id, curr_dep_id))")
