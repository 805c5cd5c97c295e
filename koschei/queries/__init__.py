"""Read-only questions to the database, one module per subject; pages, the API and the command line ask them.

Each function takes a session, asks a fixed number of queries whatever the data, and returns values, not open rows.
"""
