"""Statistics by day, and what building costs.

Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
phase = "pre"
branch_labels = None
depends_on = None

SCHEMA = """
CREATE TABLE statistics_refresh (
    id SMALLINT NOT NULL,
    build_id BIGINT DEFAULT '0' NOT NULL,
    task_seconds DOUBLE PRECISION DEFAULT '0' NOT NULL,
    behind BOOLEAN DEFAULT true NOT NULL,
    refreshed TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_statistics_refresh PRIMARY KEY (id),
    CONSTRAINT ck_statistics_refresh_one CHECK (id = 1)
);
CREATE TABLE uncounted_build (
    build_id BIGINT NOT NULL,
    CONSTRAINT pk_uncounted_build PRIMARY KEY (build_id)
);
CREATE TABLE statistics_day (
    collection_id BIGINT NOT NULL,
    day DATE NOT NULL,
    ok INTEGER NOT NULL,
    failing INTEGER NOT NULL,
    unresolved INTEGER NOT NULL,
    unknown INTEGER NOT NULL,
    untracked INTEGER NOT NULL,
    blocked INTEGER NOT NULL,
    queue_samples INTEGER DEFAULT '0' NOT NULL,
    queue_sum BIGINT DEFAULT '0' NOT NULL,
    repositories INTEGER DEFAULT '0' NOT NULL,
    resolve_seconds DOUBLE PRECISION DEFAULT '0' NOT NULL,
    dated_repositories INTEGER DEFAULT '0' NOT NULL,
    wait_seconds DOUBLE PRECISION DEFAULT '0' NOT NULL,
    CONSTRAINT pk_statistics_day PRIMARY KEY (collection_id, day),
    CONSTRAINT fk_statistics_day_collection_id_collection
        FOREIGN KEY (collection_id) REFERENCES collection (id) ON DELETE CASCADE
);
CREATE TABLE statistics_builds (
    collection_id BIGINT NOT NULL,
    day DATE NOT NULL,
    real BOOLEAN NOT NULL,
    state SMALLINT NOT NULL,
    builds INTEGER NOT NULL,
    seconds DOUBLE PRECISION NOT NULL,
    CONSTRAINT pk_statistics_builds PRIMARY KEY (collection_id, day, real, state),
    CONSTRAINT fk_statistics_builds_collection_id_collection
        FOREIGN KEY (collection_id) REFERENCES collection (id) ON DELETE CASCADE
);
CREATE TABLE statistics_tasks (
    collection_id BIGINT NOT NULL,
    day DATE NOT NULL,
    arch TEXT NOT NULL,
    tasks INTEGER NOT NULL,
    seconds DOUBLE PRECISION NOT NULL,
    CONSTRAINT pk_statistics_tasks PRIMARY KEY (collection_id, day, arch),
    CONSTRAINT fk_statistics_tasks_collection_id_collection
        FOREIGN KEY (collection_id) REFERENCES collection (id) ON DELETE CASCADE
);
CREATE TABLE resource_consumption_stats (
    name TEXT COLLATE "C" NOT NULL,
    arch TEXT NOT NULL,
    tasks INTEGER NOT NULL,
    seconds DOUBLE PRECISION NOT NULL,
    CONSTRAINT pk_resource_consumption_stats PRIMARY KEY (name, arch)
);
CREATE INDEX ix_resource_consumption_stats_seconds ON resource_consumption_stats (seconds DESC, name, arch);
CREATE INDEX ix_resource_consumption_stats_arch_seconds ON resource_consumption_stats (arch, seconds DESC, name);
ALTER TABLE repository_resolution ADD COLUMN repo_created TIMESTAMP WITH TIME ZONE;
"""

TABLES = (
    "statistics_refresh",
    "uncounted_build",
    "statistics_day",
    "statistics_builds",
    "statistics_tasks",
    "resource_consumption_stats",
)


def upgrade() -> None:
    for statement in SCHEMA.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    op.execute("ALTER TABLE repository_resolution DROP COLUMN repo_created")
    op.execute(f"DROP TABLE {', '.join(TABLES)}")
