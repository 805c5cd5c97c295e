"""Koji as we see it: a session with the hub, its answers as typed records, and what we ask of it."""
