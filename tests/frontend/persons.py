"""What tests of forms share: somebody who is logged in, and the token of a page."""

from __future__ import annotations

import re
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select

from frontend import people
from koschei import users
from koschei.db.engine import Database
from koschei.model import User
from tests.world import NOW

BASE = "https://localhost"


def csrf_token(page: str) -> str:
    """The token of the forms of a page."""
    found = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page)
    assert found, "the page has no form"
    return found[1]


class Visitor:
    """A person with a browser: gets pages, and sends their forms with the token."""

    def __init__(
        self, client: FlaskClient, database: Database, name: str | None = None, *, admin: bool = False
    ) -> None:
        self.client, self.name = client, name
        if name is not None:
            with database.begin() as session:
                users.log_in(session, name)
                user = session.scalars(select(User).where(User.name == name)).one()
                user.admin = admin or user.admin
                user_id = user.id
            with client.session_transaction(base_url=BASE) as cookie:
                cookie.update({people.USER: user_id, people.SINCE: int(NOW.timestamp()), people.ADMIN: False})

    def get(self, path: str, **options: Any) -> Any:
        """The answer to a page's address."""
        return self.client.get(path, base_url=BASE, **options)

    def post(self, path: str, data: dict[str, Any] | None = None, **options: Any) -> Any:
        """The answer to a form with a good token."""
        token = csrf_token(self.get("/logout").text) if self.name else ""
        return self.client.post(path, base_url=BASE, data={"csrf_token": token, **(data or {})}, **options)

    def flashes(self) -> list[str]:
        """What the next page would say about what was done."""
        with self.client.session_transaction(base_url=BASE) as cookie:
            return [text for _category, text in cookie.pop("_flashes", [])]
