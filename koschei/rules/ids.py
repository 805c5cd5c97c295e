"""Numbers that things have in our tables and in Koji's."""

LARGEST_ID = 2**63 - 1
"""XML-RPC (i8) and PostgreSQL (bigint) have none that is larger: whoever asks for one asks for nothing."""
