"""Statistics by day, and what building costs.

Revises: 0003
"""

revision = "0004"
down_revision = "0003"
phase = "pre"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
