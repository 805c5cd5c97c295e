"""PostgreSQL: connections, advisory locks, notifications, column types and the schema's revisions."""
