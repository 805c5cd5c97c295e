"""How many edits each person may still make.

Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
phase = "pre"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute('ALTER TABLE "user" ADD COLUMN edits_left DOUBLE PRECISION')
    op.execute('ALTER TABLE "user" ADD COLUMN edits_at TIMESTAMP WITH TIME ZONE')


def downgrade() -> None:
    op.execute('ALTER TABLE "user" DROP COLUMN edits_left, DROP COLUMN edits_at')
