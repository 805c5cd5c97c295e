"""Who maintains which package.

Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
phase = "pre"
branch_labels = None
depends_on = None

SCHEMA = """
CREATE TABLE package_maintainer (
    user_name TEXT COLLATE "C" NOT NULL,
    package TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_package_maintainer PRIMARY KEY (user_name, package)
);
CREATE INDEX ix_package_maintainer_package ON package_maintainer (package);
CREATE TABLE maintainer_source (
    id INTEGER NOT NULL,
    url TEXT NOT NULL,
    etag TEXT,
    last_modified TEXT,
    last_good TIMESTAMP WITH TIME ZONE,
    error TEXT,
    error_since TIMESTAMP WITH TIME ZONE,
    refused_since TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_maintainer_source PRIMARY KEY (id),
    CONSTRAINT ck_maintainer_source_one CHECK (id = 1)
);
"""


def upgrade() -> None:
    op.execute(SCHEMA)


def downgrade() -> None:
    op.execute("DROP TABLE maintainer_source; DROP TABLE package_maintainer;")
