"""Logging in and out: by an OpenID Connect provider, by the web server in front, and for development."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from demo.ports import free_port
from frontend.app import create_app
from koschei.config import Config
from koschei.db.engine import Database
from koschei.model import LogEntry, User
from tests.frontend.conftest import SECRET_KEY
from tests.frontend.persons import csrf_token
from tests.frontend.provider import knowing
from tests.world import NOW, filling

OUTSIDE = "http://localhost:1234"


def settings(**auth: Any) -> Config:
    return Config.model_validate(
        {"flask": {"SECRET_KEY": SECRET_KEY}, "frontend": {"external_url": OUTSIDE, "auth": auth}}
    )


def client_for(config: Config, database: Database, now: Any = lambda: NOW) -> FlaskClient:
    with filling(database) as world:
        if not world.session.scalar(select(User.id).limit(1)):
            world.collection("f43")
    return create_app(config, database, clock=now).test_client()


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """The address of a real provider of OpenID Connect, with its own process."""
    people = [
        {"sub": "1", "nickname": "jane", "groups": ["sysadmin-koschei", "packager"]},
        {"sub": "2", "nickname": "jack", "groups": ["packager"]},
        {"sub": "3", "nickname": "no such name!", "groups": []},
        {"sub": "4", "email": "nameless@example.org"},
    ]
    with knowing(people) as address:
        yield address


def come_back(client: FlaskClient, subject: str, path: str = "/login", **form: str) -> Any:
    """Go to the provider as the application says, log in there, and come back with what it gives."""
    away = client.get(path, base_url=OUTSIDE)
    assert away.status_code == 302, away.text
    answered = httpx.post(away.location, data={"sub": subject, **form})
    assert answered.status_code == 302, answered.text
    returned = urlsplit(answered.headers["location"])
    assert f"{returned.scheme}://{returned.netloc}" == OUTSIDE
    return client.get(f"{returned.path}?{returned.query}", base_url=OUTSIDE)


def whoami(client: FlaskClient) -> str | None:
    page = client.get("/logout", base_url=OUTSIDE).text
    return None if "You are not logged in" in page else page.split("You are logged in as ")[1].split(".")[0]


@pytest.fixture
def asked(provider: str, database: Database) -> FlaskClient:
    """A client of an application that asks the provider."""
    oidc = {"issuer": provider, "scopes": ["openid", "profile"], "client_secret": "very secret"}
    return client_for(settings(method="oidc", admin_groups=["sysadmin-koschei"], oidc=oidc), database)


def test_the_provider_says_who_it_is_and_who_administers(asked: FlaskClient, database: Database) -> None:
    answer = come_back(asked, "1", "/login?next=/packages?state=failing")
    assert (answer.status_code, answer.location) == (303, "/packages?state=failing")
    page = asked.get("/", base_url=OUTSIDE).text
    assert whoami(asked) == "jane"
    assert "New user jane was registered." in page
    assert "Logged in as jane. You have admin privileges." in page
    with database.read() as session:
        assert session.execute(select(User.name, User.admin)).all() == [("jane", False)]  # the group says it, we do not
        assert session.scalars(select(LogEntry.message)).all() == ["User jane was registered"]


def test_another_group_does_not_administer_and_nobody_is_registered_twice(asked: FlaskClient) -> None:
    come_back(asked, "2")
    come_back(asked, "2")
    page = asked.get("/", base_url=OUTSIDE).text
    assert "Logged in as jack." in page
    assert "admin privileges" not in page


def test_the_request_carries_what_protects_it(asked: FlaskClient, provider: str) -> None:
    address = urlsplit(asked.get("/login", base_url=OUTSIDE).location)
    arguments = parse_qs(address.query)
    assert f"{address.scheme}://{address.netloc}" == provider
    assert arguments["redirect_uri"] == [f"{OUTSIDE}/login/callback"]
    assert arguments["code_challenge_method"] == ["S256"]
    assert {"state", "nonce", "code_challenge"} <= arguments.keys()


@pytest.mark.parametrize(
    ("subject", "status", "words"),
    [("3", 400, "cannot be the name of a user"), ("4", 400, "does not name a user here")],
)
def test_who_cannot_be_a_user_is_told_so(asked: FlaskClient, subject: str, status: int, words: str) -> None:
    answer = come_back(asked, subject)
    assert (answer.status_code, words in answer.text) == (status, True)
    assert whoami(asked) is None


def test_a_denied_login_is_said_and_changes_nothing(asked: FlaskClient, database: Database) -> None:
    answer = come_back(asked, "1", action="deny")
    assert answer.status_code == 403
    assert "You are not logged in" in answer.text
    with database.read() as session:
        assert session.scalars(select(User)).all() == []


def test_an_answer_that_nobody_asked_for_is_refused(asked: FlaskClient) -> None:
    for query in ("", "?code=abc&state=def", "?code=abc", "?state=", "?error=server_error&state=x"):
        assert asked.get(f"/login/callback{query}", base_url=OUTSIDE).status_code == 403


def test_a_provider_that_is_away_is_said_and_everything_else_goes_on(database: Database) -> None:
    oidc = {"issuer": f"http://localhost:{free_port()}"}
    client = client_for(settings(method="oidc", oidc=oidc), database)
    answer = client.get("/login", base_url=OUTSIDE)
    assert (answer.status_code, "does not answer" in answer.text) == (503, True)
    assert client.get("/", base_url=OUTSIDE).status_code == 200


def test_the_web_server_in_front_says_who_it_is(database: Database) -> None:
    auth = {"user_re": "(.+)@EXAMPLE[.]ORG", "groups_env": "GROUPS", "admin_groups": ["admins"]}
    client = client_for(settings(**auth), database)
    environment = {"REMOTE_USER": "jane@EXAMPLE.ORG", "GROUPS": "users, admins"}
    answer = client.get("/login?next=/groups", base_url=OUTSIDE, environ_overrides=environment)
    assert (answer.status_code, answer.location) == (303, "/groups")
    assert "You have admin privileges." in client.get("/", base_url=OUTSIDE).text
    assert whoami(client) == "jane"


@pytest.mark.parametrize(
    ("environment", "status", "words"),
    [
        ({}, 501, "does not say who you are (in REMOTE_USER)"),
        ({"REMOTE_USER": "jane@ELSEWHERE"}, 400, "does not name a user here"),
        ({"REMOTE_USER": "ja ne@EXAMPLE"}, 400, "cannot be the name of a user"),
        ({"REMOTE_USER": "x" * 300 + "@EXAMPLE"}, 400, "cannot be the name of a user"),
    ],
)
def test_an_identity_that_makes_no_user_is_refused(
    database: Database, environment: dict[str, str], status: int, words: str
) -> None:
    client = client_for(settings(user_re="(.+)@EXAMPLE"), database)
    answer = client.get("/login", base_url=OUTSIDE, environ_overrides=environment)
    assert (answer.status_code, words in answer.text) == (status, True)
    assert whoami(client) is None


def test_a_header_cannot_take_the_place_of_the_web_server(database: Database) -> None:
    client = client_for(settings(), database)
    headers = {"Remote-User": "jane", "REMOTE_USER": "jane", "X-Remote-User": "jane"}
    assert client.get("/login", base_url=OUTSIDE, headers=headers).status_code == 501


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "http:evil.example",
        "javascript:alert(1)",
        "/%0d%0aLocation:%20https://evil.example",
        "packages",
        "/\tpackages",
        "",
    ],
)
def test_nobody_is_sent_to_a_strangers_page(database: Database, target: str) -> None:
    client = client_for(settings(), database)
    answer = client.get(
        "/login", query_string={"next": target}, base_url=OUTSIDE, environ_overrides={"REMOTE_USER": "jane"}
    )
    assert answer.status_code == 303
    where = urlsplit(answer.location)
    assert (where.scheme, where.netloc) == ("", "")
    assert answer.location.startswith("/")
    assert not answer.location.startswith(("//", "/\\"))
    assert len(answer.headers.getlist("Location")) == 1


def test_for_development_everybody_is_one_admin(database: Database) -> None:
    config = Config.model_validate({"flask": {"SECRET_KEY": SECRET_KEY}, "bypass_login": "developer"})
    client = client_for(config.model_copy(update={"frontend": settings().frontend}), database)
    client.get("/login", base_url=OUTSIDE)
    assert whoami(client) == "developer"
    with database.read() as session:
        assert session.execute(select(User.name, User.admin)).all() == [("developer", True)]


def test_logging_out_takes_a_form(database: Database) -> None:
    client = client_for(settings(), database)
    client.get("/login", base_url=OUTSIDE, environ_overrides={"REMOTE_USER": "jane"})
    page = client.get("/logout", base_url=OUTSIDE).text
    assert whoami(client) == "jane"
    assert client.post("/logout", base_url=OUTSIDE).status_code == 400
    assert whoami(client) == "jane"
    answer = client.post("/logout", base_url=OUTSIDE, data={"csrf_token": csrf_token(page)})
    assert (answer.status_code, answer.location) == (303, "/")
    assert "Successfully logged out." in client.get("/", base_url=OUTSIDE).text
    assert whoami(client) is None


def test_a_login_ends_after_a_while_and_when_its_user_is_gone(database: Database) -> None:
    now = [NOW]
    client = client_for(settings(login_hours=2), database, lambda: now[0])
    client.get("/login", base_url=OUTSIDE, environ_overrides={"REMOTE_USER": "jane"})
    now[0] = NOW + timedelta(hours=1.9)
    assert whoami(client) == "jane"
    now[0] = NOW + timedelta(hours=2)
    assert whoami(client) is None
    now[0] = NOW
    assert whoami(client) == "jane"
    with database.begin() as session:
        session.delete(session.scalars(select(User)).one())
    assert whoami(client) is None


def test_the_cookie_is_only_for_us(database: Database) -> None:
    client = client_for(settings(), database)
    answer = client.get("/login", base_url=OUTSIDE, environ_overrides={"REMOTE_USER": "jane"})
    assert "; HttpOnly; Path=/; SameSite=Lax" in answer.headers["Set-Cookie"]
    assert "Secure" not in answer.headers["Set-Cookie"]  # it is known to be reached without https
    secure = Config.model_validate({"flask": {"SECRET_KEY": SECRET_KEY}})
    answer = client_for(secure, database).get(
        "/login", base_url="https://localhost", environ_overrides={"REMOTE_USER": "jane"}
    )
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-koschei=")
    assert "; Secure; HttpOnly; Path=/; SameSite=Lax" in cookie
    assert "Domain" not in cookie


def test_a_forged_cookie_is_nobody(database: Database) -> None:
    client = client_for(settings(), database)
    client.get("/login", base_url=OUTSIDE, environ_overrides={"REMOTE_USER": "jane"})
    cookie = client.get_cookie("koschei", domain="localhost")
    assert cookie is not None
    payload, _, signature = cookie.value.partition(".")
    for forged in (f"{payload}x.{signature}", payload, "x" * 5000, ""):
        stranger = client.application.test_client(use_cookies=False)
        page = stranger.get("/logout", base_url=OUTSIDE, headers={"Cookie": f"koschei={forged}"})
        assert "You are not logged in" in page.text
