"""koschei-admin: what people who run Koschei do at a shell."""
