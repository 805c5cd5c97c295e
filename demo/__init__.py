"""A whole small world around Koschei on one machine: a Koji, a distribution, a story, and one command to start it."""
