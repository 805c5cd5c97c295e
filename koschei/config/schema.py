"""Which settings there are: their types, defaults, bounds and descriptions.

Key names are those of the Koschei that people configure today; each field's description is its documentation
(docs/configuration.md is checked against them).
"""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlencode

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, Strict, field_validator, model_validator

from koschei.config.frontend import MAKE_A_KEY, BugreportConfig, FlaskConfig, FrontendConfig
from koschei.config.section import FilePath, Port, PositiveFloat, PositiveInt, Section, Texts, WebAddress
from koschei.errors import ConfigError

# How a PostgreSQL address may begin; SQLAlchemy wants the last, and one spelling is enough for everybody after us.
DATABASE_SCHEMES = ("postgres://", "postgresql://", "postgresql+psycopg2://")


class DatabaseConfig(Section):
    """How to reach PostgreSQL (15 or newer). `db_url` wins when it is set."""

    host: str = Field(default="localhost", description="Host name, or the folder of a Unix socket.")
    port: Port = Field(default=5432, description="TCP port.")
    database: str = Field(default="koschei", description="Database name.")
    username: str = Field(default="koschei", description="Role to connect as.")
    password: SecretStr = Field(
        default=SecretStr(""), description="Its password; empty for trust or peer authentication."
    )


class KojiConfig(Section):
    """The Koji that builds: where it is, who we are there, and how much of it we may use."""

    server: WebAddress = Field(
        default="https://koji.fedoraproject.org/kojihub", description="XML-RPC address of the hub."
    )
    topurl: str = Field(default="https://kojipkgs.fedoraproject.org", description="Where the hub's files are served.")
    weburl: WebAddress = Field(
        default="https://koji.fedoraproject.org/koji", description="Koji's web pages, for links."
    )
    srpm_relative_path_root: str = Field(
        default="..", description="Root of source package paths handed to Koji, relative to its work folder."
    )
    login_method: Literal["logout", "login", "ssl_login", "gssapi_login", "krb_login"] = Field(
        default="logout",
        description=(
            "How to log in: logout (anonymous, read only), login (user and password), ssl_login (certificate), "
            "gssapi_login (keytab); krb_login is the old name of gssapi_login."
        ),
    )
    login_args: dict[str, Any] = Field(
        default_factory=dict,
        repr=False,
        description=(
            "Arguments of the login method: {} for logout; user, password; cert, serverca; principal, keytab, ccache."
        ),
    )
    session_opts: dict[str, Any] = Field(
        default_factory=dict,
        repr=False,
        description="Options of koji.ClientSession that override ours (timeout, max_retries, ...).",
    )
    max_builds: PositiveInt = Field(default=30, description="Scratch builds running at once, all collections together.")
    build_arches: Texts = Field(
        default=("i386", "x86_64", "armhfp"), description="Architectures that may be built for (canonical or not)."
    )
    build_opts: dict[str, Any] = Field(
        default_factory=dict, repr=False, description="Extra options of every scratch build."
    )
    load_threshold: Annotated[float, Field(ge=0)] = Field(
        default=0.5,
        description="Highest load of Koji's builders (0..1) at which builds are submitted; 1 or more: no check.",
    )
    task_priority: int = Field(
        default=30, description="Added to Koji's default task priority (20); larger is less urgent."
    )
    task_timeout: PositiveFloat = Field(default=172800, description="Seconds after which a running build is cancelled.")
    multicall_chunk_size: PositiveInt = Field(default=100, description="Calls in one multicall request.")
    build_from_repo_id: bool = Field(
        default=False, description="Build in exactly the repository that was resolved (needs a right in Koji's policy)."
    )
    submit_grace: PositiveFloat = Field(
        default=60,
        description="Seconds after which a submission whose reply was lost, and that Koji does not know, is given up.",
    )
    max_package_builds_per_day: PositiveInt = Field(
        default=6, description="Scratch builds of one package in one collection within 24 hours, whatever its priority."
    )
    spoiled_retry_delay: PositiveFloat = Field(
        default=900,
        description="Seconds before a package is tried again after Koji spoiled its build; doubles with each in a row.",
    )


class DependencyConfig(Section):
    """How build dependencies are resolved."""

    engine: Literal["solv", "libdnf5"] = Field(
        default="solv",
        description="The solver: libsolv itself (fast), or the package manager's library, which must be installed.",
    )
    ignore_weak_deps: bool = Field(
        default=True, description="Do not install Recommends and Supplements (as Koji's buildroots do)."
    )
    resolve_for_arch: str = Field(default="x86_64", description="Architecture whose package compatibility rules apply.")
    repo_arch: str = Field(
        default="x86_64", description="Architecture folder of the Koji repository that is resolved in."
    )
    persist_chunk_size: PositiveInt = Field(default=150, description="Resolved packages stored in one transaction.")
    perf_report_interval: PositiveFloat = Field(
        default=60, description="Seconds between progress lines of a long resolution."
    )
    dependency_cache_capacity: PositiveInt = Field(
        default=100_000, description="Binary packages whose ids are remembered."
    )
    cache_l2_capacity: PositiveInt = Field(default=100, description="Repositories kept on disk.")


class PriorityConfig(Section):
    """Weights of the priority formula (Priority in the user guide)."""

    newly_added: int = Field(
        default=3000, description="Bonus of a package whose last build cannot be resolved any more."
    )
    build_threshold: PositiveInt = Field(default=256, description="A package is built when its priority reaches this.")
    package_update: int = Field(
        default=256, description="Weight of a changed direct dependency; divided by its distance."
    )
    failed_build_priority: int = Field(default=200, description="Bonus that makes a first failure be confirmed soon.")
    t0: PositiveFloat = Field(default=6, description="Hours after a build at which elapsed time begins to count.")
    t1: PositiveFloat = Field(
        default=168, description="Hours after which elapsed time alone causes a build; more than t0."
    )

    @model_validator(mode="after")
    def _times_are_in_order(self) -> Self:
        if self.t1 <= self.t0:
            raise ValueError(f"t1 ({self.t1:g} hours) must be greater than t0 ({self.t0:g} hours)")
        return self


class ServiceConfig(Section):
    """One backend service."""

    interval: PositiveFloat = Field(default=3, description="Seconds between two looks when nothing wakes the service.")
    health_host: str = Field(default="0.0.0.0", description="Address of the health port.")  # noqa: S104 - probes come from outside
    health_port: Port = Field(
        default=8081, description="Port of /healthz/live, /healthz/ready and /metrics; 0 for none."
    )


class ServicesConfig(Section):
    """The backend services."""

    watcher: ServiceConfig = ServiceConfig(health_port=8081, interval=5)
    polling: ServiceConfig = ServiceConfig(health_port=8082, interval=1200)
    repo_resolver: ServiceConfig = ServiceConfig(health_port=8083, interval=30)
    build_resolver: ServiceConfig = ServiceConfig(health_port=8084, interval=30)
    scheduler: ServiceConfig = ServiceConfig(health_port=8085, interval=3)

    @model_validator(mode="before")
    @classmethod
    def _keep_the_defaults_of_each_service(cls, values: Any) -> Any:
        # A table that sets one thing of a service would otherwise get ServiceConfig's defaults for the rest.
        if not isinstance(values, dict):
            return values
        defaults = {name: field.default.model_dump() for name, field in cls.model_fields.items()}
        return {
            name: {**defaults[name], **given} if name in defaults and isinstance(given, dict) else given
            for name, given in values.items()
        }


class FedmsgConfig(Section):
    """Koji's messages, and the bus itself."""

    config_file: FilePath | None = Field(
        default=None,
        description="fedora-messaging's own configuration file; unset: no bus, polling sees everything, later.",
    )
    topic: str = Field(
        default="org.fedoraproject.prod.buildsys", description="Topic under which Koji's messages arrive."
    )
    instance: str = Field(default="primary", description="Name of our Koji in its messages and in ours.")


class PublisherConfig(Section):
    """Our messages."""

    enabled: bool = Field(default=False, description="Send package and collection state changes to the bus.")
    modname: str = Field(default="koschei", description="First part of our topics.")
    max_age: PositiveFloat = Field(
        default=24,
        description="Hours after which an event is let go of while nothing is sent at all (not enabled, or no bus).",
    )


def _network(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError as error:
        raise ValueError(f"expected a network like 10.0.0.0/8: {error}") from error


class WebhooksConfig(Section):
    """How events are delivered to webhooks, which `koschei-admin add-webhook` makes."""

    allow_http: bool = Field(default=False, description="Take addresses that begin with http://, too.")
    allowed_networks: Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], Strict(False)] = Field(
        default=(),
        description=(
            "Networks that are not public and may be connected to, as 10.0.0.0/8; no other such address ever is."
        ),
    )
    ca_file: FilePath | None = Field(
        default=None,
        description="Certificates of authorities that are trusted; unset: those that are publicly trusted.",
    )
    connect_timeout: PositiveFloat = Field(default=5, description="Seconds to connect.")
    timeout: PositiveFloat = Field(
        default=15,
        description="Seconds for a whole delivery, the answer included; "
        "the system's resolver has its own limit for finding the host.",
    )
    retry_delay: PositiveFloat = Field(
        default=10, description="Seconds before a delivery that failed is tried again; doubles with each in a row."
    )
    longest_retry_delay: Annotated[float, Field(gt=0, le=604800)] = Field(
        default=3600, description="Seconds between two tries at the most."
    )
    disable_after: Annotated[float, Field(gt=0, le=8760)] = Field(
        default=72, description="Hours of failures in a row after which a webhook is disabled."
    )


def _kept_months(value: int) -> int:
    if value == 1:
        raise ValueError("expected at least 2 months, or 0 to keep for ever")
    return value


KeptMonths = Annotated[int, Field(ge=0), AfterValidator(_kept_months)]


class PagureConfig(Section):
    """Where to read who maintains which package."""

    owner_alias_url: WebAddress | None = Field(
        default=None,
        description=(
            "A file that says who maintains what, like Fedora's "
            "https://src.fedoraproject.org/extras/pagure_owner_alias.json; unset or empty: only groups say so."
        ),
    )

    @field_validator("owner_alias_url", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: Any) -> Any:
        return None if value == "" else value


class RetentionConfig(Section):
    """How long history is kept: `koschei-admin retention --apply` deletes what is older.

    0 keeps it for ever; one month is too short, and refused. What a package's present answer rests on stays, however
    old it is.
    """

    builds_months: KeptMonths = Field(
        default=12, description="Months to keep builds with their tasks, dependencies and dependency changes."
    )
    resolutions_months: KeptMonths = Field(default=12, description="Months to keep the resolver's answers.")
    states_months: KeptMonths = Field(default=36, description="Months to keep state changes.")
    repositories_months: KeptMonths = Field(default=6, description="Months to keep how resolving a repository went.")
    events_days: Annotated[int, Field(ge=0)] = Field(
        default=30, description="Days to keep events that were sent, and those that never can be."
    )
    audit_log_months: KeptMonths = Field(default=0, description="Months to keep the audit log.")
    batch: Annotated[int, Field(gt=0, le=10000)] = Field(
        default=200, description="Rows looked at in one transaction: fewer make others wait less."
    )


class LoggingConfig(Section):
    """What is written to standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least important line written."
    )
    format: Literal["json", "text"] = Field(default="json", description="json for machines, text for people.")


class DirectoriesConfig(Section):
    """Where caches that may vanish are kept."""

    cachedir: FilePath = Field(default=Path("/var/cache/koschei"), description="Repositories and their solver caches.")


class Config(Section):
    """Everything that can be set."""

    model_config = ConfigDict(populate_by_name=True)

    db_url: SecretStr | None = Field(
        default=None, description="SQLAlchemy address of the database, instead of database_config."
    )
    unpriv_db_username: str | None = Field(
        default=None,
        description="Role that the services connect as, when another one owns the tables; it is granted what it needs.",
    )
    database_config: DatabaseConfig = DatabaseConfig()
    koji_config: KojiConfig = KojiConfig()
    dependency: DependencyConfig = DependencyConfig()
    priorities: PriorityConfig = PriorityConfig()
    services: ServicesConfig = ServicesConfig()
    fedmsg: FedmsgConfig = FedmsgConfig()
    fedmsg_publisher: PublisherConfig = Field(
        default=PublisherConfig(), validation_alias="fedmsg-publisher", serialization_alias="fedmsg-publisher"
    )
    webhooks: WebhooksConfig = WebhooksConfig()
    flask: FlaskConfig = FlaskConfig()
    frontend: FrontendConfig = FrontendConfig()
    links: dict[str, str] = Field(
        default_factory=lambda: {
            "Packages": "https://packages.fedoraproject.org/pkgs/{package.name}",
            "Bugzilla": (
                "https://bugzilla.redhat.com/buglist.cgi?product={package.collection.bugzilla_product}"
                "&component={package.name}"
            ),
            "Bodhi": "https://bodhi.fedoraproject.org/updates?packages={package.name}",
            "Dist-git": "https://src.fedoraproject.org/rpms/{package.name}",
            "Koji": "{koji_config.weburl}/search?match=exact&type=package&terms={package.name}",
        },
        description=(
            "Links on package pages; {package.…} and {koji_config.weburl} are replaced, a missing value hides the "
            "link. Setting any replaces all."
        ),
    )
    bugreport: BugreportConfig = BugreportConfig()
    pagure: PagureConfig = PagureConfig()
    directories: DirectoriesConfig = DirectoriesConfig()
    logging: LoggingConfig = LoggingConfig()
    retention: RetentionConfig = RetentionConfig()
    real_builds_insert_chunk: PositiveInt = Field(default=50, description="Real builds registered in one transaction.")
    bypass_login: str | None = Field(default=None, description="Everyone is this user, an admin: for development only.")

    @field_validator("db_url")
    @classmethod
    def _database_is_postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(DATABASE_SCHEMES):
            raise ValueError("expected an address that begins with postgresql:// (PostgreSQL is the only database)")
        return value

    @property
    def publishing(self) -> bool:
        """Whether our events are sent to a bus."""
        return self.fedmsg_publisher.enabled and self.fedmsg.config_file is not None

    def database_url(self) -> str:
        """The SQLAlchemy address of the database, password included: never show it."""
        if self.db_url:
            return DATABASE_SCHEMES[-1] + self.db_url.get_secret_value().partition("://")[2]
        settings = self.database_config
        password = settings.password.get_secret_value()
        login = quote(settings.username, safe="") + (f":{quote(password, safe='')}" if password else "")
        database = quote(settings.database, safe="")
        if settings.host.startswith("/"):
            query = urlencode({"host": settings.host, "port": settings.port})
            return f"{DATABASE_SCHEMES[-1]}{login}@/{database}?{query}"
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        return f"{DATABASE_SCHEMES[-1]}{login}@{host}:{settings.port}/{database}"

    def secret_key(self) -> str:
        """The key that signs sessions. Raises ConfigError when there is none: the frontend must not make one up."""
        if self.flask.SECRET_KEY is None:
            raise ConfigError(
                "flask.SECRET_KEY is not set, and the frontend cannot sign sessions without it: set it, in a file or "
                f"as KOSCHEI__FLASK__SECRET_KEY, to the same text for all replicas; {MAKE_A_KEY}"
            )
        return self.flask.SECRET_KEY.get_secret_value()
