"""Who maintains which package.

Revises: 0002
"""

revision = "0003"
down_revision = "0002"
phase = "pre"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
