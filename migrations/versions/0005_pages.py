"""Indexes for the questions that pages ask.

Revises: 0004
"""

revision = "0005"
down_revision = "0004"
phase = "pre"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
