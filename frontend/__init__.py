"""The web pages and the REST API: read a request, ask koschei.queries, show the answer."""
