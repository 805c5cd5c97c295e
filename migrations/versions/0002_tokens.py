"""Personal tokens of the REST API.

Revises: 0001
"""

revision = "0002"
down_revision = "0001"
phase = "pre"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
