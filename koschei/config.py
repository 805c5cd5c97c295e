"""Typed settings. `load()` reads TOML files and the environment; everything else receives the frozen result.

Key names are those of the Koschei that people configure today; each field's description is its documentation
(docs/configuration.md is checked against them).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

PLACEHOLDER_SECRET_KEY = "change-me"  # noqa: S105 - the public value that is refused

PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Section(BaseModel):
    """A table of the configuration: closed (unknown keys are errors), immutable, strict about types."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class DatabaseConfig(Section):
    """How to reach PostgreSQL (15 or newer). `db_url` wins when it is set."""

    host: str = Field("localhost", description="Host name, or the folder of a Unix socket.")
    port: Port = Field(5432, description="TCP port.")
    database: str = Field("koschei", description="Database name.")
    username: str = Field("koschei", description="Role to connect as.")
    password: SecretStr = Field(SecretStr(""), description="Its password; empty for trust or peer authentication.")


class KojiConfig(Section):
    """The Koji that builds: where it is, who we are there, and how much of it we may use."""

    server: str = Field("https://koji.fedoraproject.org/kojihub", description="XML-RPC address of the hub.")
    topurl: str = Field("https://kojipkgs.fedoraproject.org", description="Where the hub's files are served.")
    weburl: str = Field("https://koji.fedoraproject.org/koji", description="Koji's web pages, for links.")
    srpm_relative_path_root: str = Field(
        "..", description="Root of source package paths handed to Koji, relative to its work folder."
    )
    login_method: Literal["logout", "login", "ssl_login", "gssapi_login", "krb_login"] = Field(
        "logout",
        description=(
            "How to log in: logout (anonymous, read only), login (user and password), ssl_login (certificate), "
            "gssapi_login (keytab); krb_login is the old name of gssapi_login."
        ),
    )
    login_args: dict[str, Any] = Field(
        default_factory=dict,
        description=(
            "Arguments of the login method: {} for logout; user, password; cert, serverca; principal, keytab, ccache."
        ),
    )
    session_opts: dict[str, Any] = Field(
        default_factory=dict, description="Options of koji.ClientSession that override ours (timeout, max_retries, ...)."
    )
    max_builds: PositiveInt = Field(30, description="Scratch builds running at once, all collections together.")
    build_arches: tuple[str, ...] = Field(
        ("i386", "x86_64", "armhfp"), description="Architectures that may be built for (canonical or not)."
    )
    build_opts: dict[str, Any] = Field(default_factory=dict, description="Extra options of every scratch build.")
    load_threshold: Annotated[float, Field(ge=0)] = Field(
        0.5, description="Highest load of Koji's builders (0..1) at which builds are submitted; 1 or more: no check."
    )
    task_priority: int = Field(30, description="Added to Koji's default task priority (20); larger is less urgent.")
    task_timeout: PositiveFloat = Field(172800, description="Seconds after which a running build is cancelled.")
    multicall_chunk_size: PositiveInt = Field(100, description="Calls in one multicall request.")
    build_from_repo_id: bool = Field(
        False, description="Build in exactly the repository that was resolved (needs a right in Koji's policy)."
    )
    submit_grace: PositiveFloat = Field(
        60, description="Seconds after which a submission whose reply was lost, and that Koji does not know, is given up."
    )
    max_package_builds_per_day: PositiveInt = Field(
        6, description="Scratch builds of one package in one collection within 24 hours, whatever its priority."
    )
    spoiled_retry_delay: PositiveFloat = Field(
        900, description="Seconds before a package is tried again after Koji spoiled its build; doubles with each in a row."
    )


class DependencyConfig(Section):
    """How build dependencies are resolved."""

    engine: Literal["solv"] = Field("solv", description="The solver library.")
    ignore_weak_deps: bool = Field(True, description="Do not install Recommends and Supplements (as Koji's buildroots do).")
    resolve_for_arch: str = Field("x86_64", description="Architecture whose package compatibility rules apply.")
    repo_arch: str = Field("x86_64", description="Architecture folder of the Koji repository that is resolved in.")
    persist_chunk_size: PositiveInt = Field(150, description="Resolved packages stored in one transaction.")
    perf_report_interval: PositiveFloat = Field(60, description="Seconds between progress lines of a long resolution.")
    dependency_cache_capacity: PositiveInt = Field(100_000, description="Binary packages whose ids are remembered.")
    cache_l2_capacity: PositiveInt = Field(100, description="Repositories kept on disk.")


class PriorityConfig(Section):
    """Weights of the priority formula (docs/priority in the user guide)."""

    newly_added: int = Field(3000, description="Bonus of a package whose last build cannot be resolved any more.")
    build_threshold: PositiveInt = Field(256, description="A package is built when its priority reaches this.")
    package_update: int = Field(256, description="Weight of a changed direct dependency; divided by its distance.")
    failed_build_priority: int = Field(200, description="Bonus that makes a first failure be confirmed soon.")
    t0: PositiveFloat = Field(6, description="Hours after a build at which elapsed time begins to count.")
    t1: PositiveFloat = Field(168, description="Hours after which elapsed time alone causes a build.")


class ServiceConfig(Section):
    """One backend service."""

    interval: PositiveFloat = Field(3, description="Seconds between two looks when nothing wakes the service.")
    health_host: str = Field("0.0.0.0", description="Address of the health port.")  # noqa: S104 - probes come from outside
    health_port: Port = Field(8081, description="Port of /healthz/live, /healthz/ready and /metrics; 0 for none.")


class ServicesConfig(Section):
    """The backend services."""

    watcher: ServiceConfig = ServiceConfig(health_port=8081, interval=5)
    polling: ServiceConfig = ServiceConfig(health_port=8082, interval=1200)
    repo_resolver: ServiceConfig = ServiceConfig(health_port=8083, interval=30)
    build_resolver: ServiceConfig = ServiceConfig(health_port=8084, interval=30)
    scheduler: ServiceConfig = ServiceConfig(health_port=8085, interval=10)


class FedmsgConfig(Section):
    """Koji's messages, and the bus itself."""

    config_file: Path | None = Field(
        None, description="fedora-messaging's own configuration file; unset: no bus, polling sees everything, later."
    )
    topic: str = Field("org.fedoraproject.prod.buildsys", description="Topic under which Koji's messages arrive.")
    instance: str = Field("primary", description="Name of our Koji in its messages and in ours.")


class PublisherConfig(Section):
    """Our messages."""

    enabled: bool = Field(False, description="Send package and collection state changes to the bus.")
    modname: str = Field("koschei", description="First part of our topics.")


class FlaskConfig(Section):
    """Flask's own settings."""

    SECRET_KEY: SecretStr | None = Field(
        None, description="Signs sessions and forms: a long random text, the same for all frontend replicas."
    )


class AuthConfig(Section):
    """Who is logged in, as told by the web server in front."""

    user_env: str = Field("REMOTE_USER", description="WSGI environment variable that names the user.")
    user_re: str = Field("(.+)", description="Regular expression for all of it; its first group is the user's name.")


class FrontendConfig(Section):
    """The pages."""

    external_url: str | None = Field(None, description="Address people use, for links in reports and messages.")
    packages_per_page: PositiveInt = Field(100, description="Rows of a package list.")
    builds_per_page: PositiveInt = Field(15, description="Entries of a package's history.")
    auth: AuthConfig = AuthConfig()
    links: dict[str, str] = Field(
        default_factory=lambda: {
            "Packages": "https://packages.fedoraproject.org/pkgs/{package.name}",
            "Bugzilla": (
                "https://bugzilla.redhat.com/buglist.cgi?product={package.collection.bugzilla_product}"
                "&component={package.name}"
            ),
            "Bodhi": "https://bodhi.fedoraproject.org/updates?packages={package.name}",
            "Dist-git": "https://src.fedoraproject.org/rpms/{package.name}",
        },
        description="Links on package pages; {package.…} is replaced, a missing value hides the link.",
    )


class BugreportConfig(Section):
    """The "file a bug" link."""

    url: str = Field(
        "https://bugzilla.redhat.com/enter_bug.cgi?{query}", description="Address of the form; {query} is replaced."
    )


class LoggingConfig(Section):
    """What is written to standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least important line written.")
    format: Literal["json", "text"] = Field("json", description="json for machines, text for people.")


class DirectoriesConfig(Section):
    """Where caches that may vanish are kept."""

    cachedir: Path = Field(Path("/var/cache/koschei"), description="Repositories and their solver caches.")


class Config(Section):
    """Everything that can be set."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True)

    db_url: SecretStr | None = Field(None, description="SQLAlchemy address of the database, instead of database_config.")
    unpriv_db_username: str | None = Field(
        None, description="Role that the services connect as, when another one owns the tables; it is granted what it needs."
    )
    database_config: DatabaseConfig = DatabaseConfig()
    koji_config: KojiConfig = KojiConfig()
    dependency: DependencyConfig = DependencyConfig()
    priorities: PriorityConfig = PriorityConfig()
    services: ServicesConfig = ServicesConfig()
    fedmsg: FedmsgConfig = FedmsgConfig()
    fedmsg_publisher: PublisherConfig = Field(PublisherConfig(), alias="fedmsg-publisher")
    flask: FlaskConfig = FlaskConfig()
    frontend: FrontendConfig = FrontendConfig()
    bugreport: BugreportConfig = BugreportConfig()
    directories: DirectoriesConfig = DirectoriesConfig()
    logging: LoggingConfig = LoggingConfig()
    real_builds_insert_chunk: PositiveInt = Field(50, description="Real builds registered in one transaction.")
    bypass_login: str | None = Field(None, description="Everyone is this user, an admin: for development only.")
