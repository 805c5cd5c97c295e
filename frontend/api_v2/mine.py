"""What a token is good for."""

from __future__ import annotations

from datetime import datetime

from frontend.api_v2.auth import bearer
from frontend.api_v2.declare import get
from frontend.api_v2.values import Answer
from koschei.tokens import Scope


class TokenAnswer(Answer):
    """The token of the request."""

    user: str
    name: str
    scopes: list[Scope]
    expires: datetime


@get("/token", tag="Token", answer=TokenAnswer, token=True)
def token() -> TokenAnswer:
    """Tell whose the token of the request is, and what it may be used for."""
    found = bearer()
    return TokenAnswer(user=found.user, name=found.token, scopes=sorted(found.scopes), expires=found.expires)
