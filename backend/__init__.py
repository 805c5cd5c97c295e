"""The five backend services: a loop each, over koschei's operations."""
