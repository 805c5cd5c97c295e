"""Settings: where they come from, which wins, and what is said of those that will not do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import make_url

from koschei.config import Config, DatabaseConfig, FlaskConfig, KojiConfig, PriorityConfig, load, masked
from koschei.config.retired import RETIRED
from koschei.errors import ConfigError

KEY = "a-very-long-and-random-key"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def problem(*paths: Path, **environ: str) -> str:
    """What load() complains about."""
    with pytest.raises(ConfigError) as caught:
        load(paths, environ)
    return str(caught.value)


def test_the_defaults_are_a_whole_configuration() -> None:
    assert load([], {}) == Config()
    assert Config().koji_config.max_builds == 30


def test_later_files_win_key_by_key_and_lists_are_replaced(tmp_path: Path) -> None:
    first = write(
        tmp_path / "first.toml", '[koji_config]\nmax_builds = 5\nbuild_arches = ["a", "b"]\nserver="http://x"'
    )
    second = write(tmp_path / "second.toml", '[koji_config]\nmax_builds = 7\nbuild_arches = ["c"]')
    config = load([first, second], {})
    assert config.koji_config.max_builds == 7
    assert config.koji_config.build_arches == ("c",)
    assert config.koji_config.server == "http://x"
    assert load([second, first], {}).koji_config.max_builds == 5


def test_free_tables_are_merged_too(tmp_path: Path) -> None:
    first = write(tmp_path / "1.toml", '[koji_config.login_args]\nuser = "a"\npassword = "p"')
    second = write(tmp_path / "2.toml", '[koji_config.login_args]\nuser = "b"')
    assert load([first, second], {}).koji_config.login_args == {"user": "b", "password": "p"}


def test_a_folder_is_read_in_name_order_without_other_files(tmp_path: Path) -> None:
    write(tmp_path / "20-site.toml", "[koji_config]\nmax_builds = 20")
    write(tmp_path / "10-base.toml", "[koji_config]\nmax_builds = 10\ntask_priority = 1")
    write(tmp_path / "30-note.txt", "this is not TOML")
    write(tmp_path / ".hidden.toml", "neither = is this")
    write(tmp_path / "folder.toml" / "inside.toml", "nor = this")
    config = load([tmp_path], {})
    assert (config.koji_config.max_builds, config.koji_config.task_priority) == (20, 1)


def test_a_mounted_secret_is_read_through_its_links_once(tmp_path: Path) -> None:
    write(tmp_path / "..2026_01_01" / "database.toml", '[database_config]\nhost = "db"')
    (tmp_path / "..data").symlink_to("..2026_01_01")
    (tmp_path / "database.toml").symlink_to("..data/database.toml")
    assert load([tmp_path], {}).database_config.host == "db"
    (tmp_path / "..data").unlink()
    assert "database.toml: cannot be read: No such file" in problem(tmp_path)


def test_koschei_config_names_files_and_folders(tmp_path: Path) -> None:
    folder = write(tmp_path / "folder" / "a.toml", "[koji_config]\nmax_builds = 1").parent
    file = write(tmp_path / "b.conf", "[koji_config]\ntask_priority = 2")
    koji = load(environ={"KOSCHEI_CONFIG": f"{folder}:{file}:"}).koji_config
    assert (koji.max_builds, koji.task_priority) == (1, 2)


def test_what_is_named_and_not_there_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"^/no/where \(named in KOSCHEI_CONFIG\): there is no such file or folder$"):
        load(environ={"KOSCHEI_CONFIG": "/no/where"})
    assert problem(Path("/no/where.toml")) == "/no/where.toml: there is no such file or folder"


def test_the_default_folder_may_be_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("koschei.config.loading.DEFAULT_PATH", tmp_path / "koschei")
    assert load(environ={}) == Config()
    write(tmp_path / "koschei" / "a.toml", 'bypass_login = "me"')
    assert load(environ={}).bypass_login == "me"


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("KOJI_CONFIG__MAX_BUILDS", "3", "koji_config.max_builds", 3),
        ("koji_config__max_builds", "3", "koji_config.max_builds", 3),
        ("KOJI_CONFIG__LOAD_THRESHOLD", "1", "koji_config.load_threshold", 1.0),
        ("KOJI_CONFIG__SERVER", "http://hub", "koji_config.server", "http://hub"),
        ("KOJI_CONFIG__SERVER", '"http://hub"', "koji_config.server", "http://hub"),
        ("KOJI_CONFIG__BUILD_ARCHES", '["s390x"]', "koji_config.build_arches", ("s390x",)),
        ("FEDMSG_PUBLISHER__ENABLED", "true", "fedmsg_publisher.enabled", True),
        ("DATABASE_CONFIG__DATABASE", "12345", "database_config.database", "12345"),
        ("DATABASE_CONFIG__DATABASE", "true", "database_config.database", "true"),
        ("DATABASE_CONFIG__DATABASE", "x\ny = 1", "database_config.database", "x\ny = 1"),
        ("BYPASS_LOGIN", "", "bypass_login", ""),
        ("DIRECTORIES__CACHEDIR", "/tmp/x", "directories.cachedir", Path("/tmp/x")),
        ("KOJI_CONFIG__LOGIN_ARGS__KEYTAB", "/etc/k", "koji_config.login_args", {"keytab": "/etc/k"}),
        ("KOJI_CONFIG__LOGIN_ARGS__user", '"7"', "koji_config.login_args", {"user": "7"}),
        ("KOJI_CONFIG__SESSION_OPTS__TIMEOUT", "60", "koji_config.session_opts", {"timeout": 60}),
        ("LINKS", '{A-b = "http://a/1"}', "links", {"A-b": "http://a/1"}),
        ("LINKS__Bugs", "1", "links", {"Bugs": "1"}),
    ],
)
def test_the_environment_wins(tmp_path: Path, variable: str, text: str, key: str, value: object) -> None:
    file = write(tmp_path / "a.toml", "[koji_config]\nmax_builds = 99\nload_threshold = 0.1")
    found: object = load([file], {f"KOSCHEI__{variable}": text, "KOSCHEI_POSTGRES_BIN": "/elsewhere", "HOME": "/"})
    for part in key.split("."):
        found = getattr(found, part)
    assert found == value
    assert type(found) is type(value) or isinstance(value, Path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[koji_config]\nmax_builds = 0",
            "koji_config.max_builds: expected a whole number greater than 0, found a whole number: 0",
        ),
        (
            '[koji_config]\nmax_builds = "9"',
            "koji_config.max_builds: expected a whole number greater than 0, found text: '9'",
        ),
        (
            "[koji_config]\nmax_builds = true",
            "koji_config.max_builds: expected a whole number greater than 0, found true",
        ),
        (
            "[koji_config]\nload_threshold = nan",
            "koji_config.load_threshold: expected a number at least 0, found a number: nan",
        ),
        (
            '[koji_config]\nlogin_method = "telnet"',
            'koji_config.login_method: expected one of "logout", "login", '
            '"ssl_login", "gssapi_login", "krb_login", found text: \'telnet\'',
        ),
        (
            '[koji_config]\nbuild_arches = "i386"',
            "koji_config.build_arches: expected a list of text, found text: 'i386'",
        ),
        (
            '[koji_config]\nbuild_arches = ["i386", 7]',
            "koji_config.build_arches[1]: expected text, found a whole number: 7",
        ),
        (
            '[koji_config]\nserver = "koji"',
            "koji_config.server: expected an address that begins with http:// or https://",
        ),
        ("koji_config = 5", "koji_config: expected a table, found a whole number: 5"),
        ("[links]\nA = 5", "links.A: expected text, found a whole number: 5"),
        ("[fedmsg]\nconfig_file = 5", "fedmsg.config_file: expected a path, found a whole number: 5"),
        (
            "[database_config]\nport = 70000",
            "database_config.port: expected a whole number at least 0 and at most 65535, found a whole number: 70000",
        ),
        ("[priorities]\nt1 = 6", "priorities: t1 (6 hours) must be greater than t0 (6 hours)"),
        (
            '[frontend.auth]\nuser_re = "("',
            "frontend.auth.user_re: is not a regular expression: missing ), unterminated subpattern at position 0",
        ),
        (
            '[frontend.auth]\nuser_re = ".+"',
            "frontend.auth.user_re: needs a group (in parentheses) around the user's name",
        ),
        (
            '[frontend]\nsource = "javascript:alert(1)"',
            "frontend.source: expected an address that begins with http:// or https://",
        ),
        (
            '[frontend]\nissues = "mailto:koschei@example.org"',
            "frontend.issues: expected an address that begins with http:// or https://",
        ),
        ('[bugreport]\nurl = "https://b/"', "bugreport.url: must contain {query}, which stands for the report"),
        (
            'db_url = "sqlite:///x"',
            "db_url: expected an address that begins with postgresql:// (PostgreSQL is the only database)",
        ),
        (
            "[koji_config]\nmax_build = 1",
            "koji_config.max_build: is not a setting; did you mean koji_config.max_builds?",
        ),
        ("[koji_confg]\nmax_builds = 1", "koji_confg: is not a setting; did you mean koji_config?"),
        ("max_builds = 1", "max_builds: is not a setting; did you mean koji_config.max_builds?"),
        (
            "[services.schedular]\ninterval = 1",
            "services.schedular: is not a setting; did you mean services.scheduler?",
        ),
        ('[flask]\nsecret_key = "x"', "flask.secret_key: is not a setting; did you mean flask.SECRET_KEY?"),
        ("[fedmsg]\nzebra = 1", "fedmsg.zebra: is not a setting; fedmsg has config_file, topic, instance"),
    ],
)
def test_a_problem_is_told_with_file_key_expectation_and_finding(tmp_path: Path, text: str, message: str) -> None:
    file = write(tmp_path / "site.toml", text)
    assert problem(file) == f"{file}: {message}"


def test_a_problem_of_the_environment_names_the_variable() -> None:
    told = problem(KOSCHEI__KOJI_CONFIG__MAX_BUILDS="many")
    assert told == (
        "environment variable KOSCHEI__KOJI_CONFIG__MAX_BUILDS: koji_config.max_builds: "
        "expected a whole number greater than 0, found text: 'many'"
    )
    assert "did you mean koji_config?" in problem(KOSCHEI__KOJI_CONFG__MAX_BUILDS="1")
    assert "is not a setting" in problem(KOSCHEI__="1")


def test_the_file_that_set_the_key_last_is_named(tmp_path: Path) -> None:
    first = write(tmp_path / "1.toml", "[koji_config]\nmax_builds = 0\ntask_priority = 1")
    second = write(tmp_path / "2.toml", "[koji_config]\ntask_priority = 2")
    assert problem(first, second).startswith(f"{first}: koji_config.max_builds")


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    file = write(tmp_path / "a.toml", "nonsense = 1\n[koji_config]\nmax_builds = 0")
    told = problem(file, KOSCHEI__PRIORITIES__T0="soon").splitlines()
    assert told[0] == "3 problems with the settings:"
    assert len(told) == 4
    assert problem(Path("/no/a"), Path("/no/b")).count("there is no such file") == 2


def test_broken_files_are_told_with_their_place(tmp_path: Path) -> None:
    assert "a.toml: is not valid TOML" in problem(write(tmp_path / "a.toml", "x = = 1"))
    assert "line 1" in problem(tmp_path / "a.toml")
    (tmp_path / "b.toml").write_bytes(b"x = '\xff'")
    assert "b.toml: is not UTF-8 text (byte 5)" in problem(tmp_path / "b.toml")
    old = write(tmp_path / "config.cfg", "import os\nconfig = {\n    'max_builds': 1,\n}")
    assert "looks like a Python file of the old Koschei" in problem(old)


@pytest.mark.parametrize(("pattern", "reason"), RETIRED.items())
def test_settings_that_have_gone_say_why(tmp_path: Path, pattern: str, reason: str) -> None:
    if pattern.startswith(("flask", "directories")):
        key = pattern.replace("*", "zzz")
    else:
        key = pattern.replace("*", "scheduler")
    *table, name = key.split(".")
    head = f"[{'.'.join(table)}]\n" if table else ""
    file = write(tmp_path / "old.toml", f"{head}{name} = 1")
    assert problem(file) == f"{file}: {key}: is no setting any more: {reason}"


def test_everything_inside_a_table_that_has_gone_is_one_problem(tmp_path: Path) -> None:
    file = write(tmp_path / "old.toml", '[caching.build_group]\nbackend = "x"\n[caching.pagure.users]\nbackend = "y"')
    assert problem(file).count("\n") == 0


@pytest.mark.parametrize("key", ["change-me", "0123456789abcde", ""])
def test_a_weak_secret_key_is_refused_and_not_shown(tmp_path: Path, key: str) -> None:
    file = write(tmp_path / "a.toml", f'[flask]\nSECRET_KEY = "{key}"')
    told = problem(file)
    assert told.startswith(f"{file}: flask.SECRET_KEY: is ")
    assert "token_hex" in told
    assert not key or key not in told


def test_secrets_are_not_shown_in_problems(tmp_path: Path) -> None:
    file = write(tmp_path / "a.toml", "db_url = 424242\n[database_config]\npassword = 434343\n[flask]\nSECRET_KEY=[1]")
    told = problem(file)
    assert "424242" not in told
    assert "434343" not in told
    assert "database_config.password: expected text (secret), found a whole number (not shown)" in told
    assert "flask.SECRET_KEY: expected text (secret), found a list (not shown)" in told


def test_the_secret_key_is_demanded_only_where_it_is_used() -> None:
    assert Config.model_validate({"flask": {"SECRET_KEY": KEY}}).secret_key() == KEY
    with pytest.raises(ConfigError, match=r"flask\.SECRET_KEY is not set"):
        Config().secret_key()
    assert KEY not in repr(FlaskConfig.model_validate({"SECRET_KEY": KEY}))


def test_a_service_keeps_its_own_defaults_when_one_thing_is_set(tmp_path: Path) -> None:
    file = write(tmp_path / "a.toml", "[services.polling]\nhealth_port = 9000")
    polling = load([file], {}).services.polling
    assert (polling.health_port, polling.interval) == (9000, 1200)


def test_settings_cannot_be_changed_after_loading() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().koji_config.max_builds = 1  # type: ignore[misc]
    assert PriorityConfig(t0=1, t1=2).t1 == 2


names = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), min_size=1, max_size=12)


@given(user=names, password=names, database=names, host=st.sampled_from(["db.example", "::1", "/run/pg sockets"]))
def test_the_database_address_says_what_was_set_whatever_the_characters(
    user: str, password: str, database: str, host: str
) -> None:
    section = {"username": user, "password": password, "database": database, "host": host, "port": 6000}
    url = make_url(Config(database_config=DatabaseConfig.model_validate(section)).database_url())
    assert (url.drivername, url.username, url.password, url.database) == (
        "postgresql+psycopg2", user, password, database,
    )  # fmt: skip
    if host.startswith("/"):
        assert dict(url.query) == {"host": host, "port": "6000"}
    else:
        assert (url.host, url.port) == (host, 6000)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_db_url_wins_in_any_spelling(scheme: str) -> None:
    config = Config.model_validate({"db_url": f"{scheme}://u:p@h/d"})
    assert config.database_url() == "postgresql+psycopg2://u:p@h/d"


def test_no_password_means_none() -> None:
    assert Config().database_url() == "postgresql+psycopg2://koschei@localhost:5432/koschei"


def test_masked_settings_show_everything_but_secrets() -> None:
    config = Config.model_validate(
        {
            "db_url": "postgresql://user:hush1@host/db?sslpassword=hush2",
            "database_config": {"password": "hush3"},
            "flask": {"SECRET_KEY": "hush4-hush4-hush4"},
            "koji_config": {
                "login_args": {"user": "koschei", "password": "hush5", "novel": "hush6"},
                "session_opts": {"timeout": 5, "token": "hush7"},
            },
        }
    )
    shown = masked(config)
    text = json.dumps(shown)
    assert "hush" not in text
    assert "hush" not in repr(config)
    assert shown["db_url"] == "postgresql://user:********@host/db?********"
    assert shown["koji_config"]["login_args"]["user"] == "koschei"
    assert shown["koji_config"]["session_opts"]["timeout"] == 5
    assert shown["fedmsg-publisher"] == {"enabled": False, "max_age": 24, "modname": "koschei"}
    assert shown["directories"]["cachedir"] == "/var/cache/koschei"
    assert masked(Config())["flask"]["SECRET_KEY"] is None


def test_what_is_shown_can_be_read_again() -> None:
    """Apart from unset keys, which TOML cannot write."""
    shown = masked(Config())
    for name in ("db_url", "unpriv_db_username", "bypass_login"):
        del shown[name]
    del shown["flask"]["SECRET_KEY"], shown["fedmsg"]["config_file"], shown["frontend"]["external_url"]
    assert Config.model_validate(shown) == Config()


def test_koji_settings_can_be_made_in_code() -> None:
    assert KojiConfig(server="http://localhost:1/kojihub", max_builds=2).max_builds == 2
