"""Answers travel compressed, as the browser asks for it; but a secret never beside words that somebody else chose.

Whoever can have a person's browser open an address with words of his choice, and see how long the compressed answer is,
can guess at what else is in it (BREACH). The only secret in our pages is the token of forms. It is signed anew each
second and sent along only to pages of ours, so that not much could come of it; yet a page with a token in it is
compressed only when its address leaves nothing to choose.
"""

from __future__ import annotations

from flask import Flask, Response, g, request
from flask_compress import Compress

# By what we like best; each is asked for by browsers of the last years, gzip by everything.
ALGORITHMS = ["zstd", "br", "gzip"]
TEXTS = [
    "application/atom+xml",
    "application/javascript",
    "application/json",
    "application/openapi+json",
    "application/problem+json",
    "image/svg+xml",
    "text/css",
    "text/html",
    "text/javascript",
    "text/plain",
]
SMALLEST = 500
# Where Flask-WTF keeps the token that a page was given.
TOKEN = "csrf_token"  # noqa: S105 - a name


def install(app: Flask) -> None:
    """Compress what is worth it. To be installed before whatever else changes answers: it comes last then."""
    app.config.update(
        COMPRESS_ALGORITHM=ALGORITHMS,
        COMPRESS_ALGORITHM_STREAMING=ALGORITHMS,
        COMPRESS_MIMETYPES=TEXTS,
        COMPRESS_MIN_SIZE=SMALLEST,
        COMPRESS_REGISTER=False,
    )
    compress = Compress()
    compress.init_app(app)

    @app.after_request
    def shorten(response: Response) -> Response:
        if _secret_beside_chosen_words():
            return response
        if request.endpoint == "static" and response.status_code == 200:
            # Small enough to be read at once, and a file that is streamed is left open by an answer of 304.
            response.direct_passthrough = False
            response.make_sequence()
        return compress.after_request(response)


def _secret_beside_chosen_words() -> bool:
    """Whether the answer holds a token, and its address words that need not be ours."""
    words = request.query_string or any(isinstance(value, str) for value in (request.view_args or {}).values())
    return TOKEN in g and bool(words or request.method != "GET" or request.endpoint is None)
