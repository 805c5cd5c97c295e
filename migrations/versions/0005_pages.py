"""Changes of a binary package by both of their versions, for the page of who suffered from an update.

The index is no larger than the one on the first version alone, which 0008 drops: changes from one version to another
are many, and have one entry together.

Revises: 0004
"""

from koschei.db.migrator import drop_index_concurrently, index_concurrently

revision = "0005"
down_revision = "0004"
phase = "pre"
branch_labels = None
depends_on = None


def upgrade() -> None:
    index_concurrently("ix_applied_change_dep_ids", "applied_change (coalesce(prev_dep_id, curr_dep_id), curr_dep_id)")


def downgrade() -> None:
    drop_index_concurrently("ix_applied_change_dep_ids")
