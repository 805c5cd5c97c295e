"""The bus: what our events look like, and how messages are sent and received."""
