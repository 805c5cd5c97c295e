"""The settings of the pages: who is logged in, what people may do how often, and the links that lead away."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from koschei.config.section import PositiveFloat, PositiveInt, Section, Texts, WebAddress, web_address
from koschei.rules import bugreport

PLACEHOLDER_SECRET_KEY = "change-me"  # noqa: S105 - the public value that is refused
SHORTEST_SECRET_KEY = 16
MAKE_A_KEY = "python3 -c 'import secrets; print(secrets.token_hex(32))' makes a good one"


class FlaskConfig(Section):
    """Flask's own settings."""

    SECRET_KEY: SecretStr | None = Field(
        default=None,
        description=(
            "Signs sessions and forms: a random text of 16 characters or more, the same for all frontend replicas. "
            "The frontend does not start without it."
        ),
    )

    @field_validator("SECRET_KEY")
    @classmethod
    def _key_is_secret(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value() if value is not None else None
        if text == PLACEHOLDER_SECRET_KEY:
            raise ValueError(f"is the placeholder that everybody knows: choose your own; {MAKE_A_KEY}")
        if text is not None and len(text) < SHORTEST_SECRET_KEY:
            raise ValueError(f"is too short: {SHORTEST_SECRET_KEY} characters are the least; {MAKE_A_KEY}")
        return value


class OidcConfig(Section):
    """The OpenID Connect provider, when the application itself asks it."""

    issuer: WebAddress | None = Field(
        default=None, description="The provider: where /.well-known/openid-configuration is found below."
    )
    client_id: str = Field(default="koschei", description="Who we are there.")
    client_secret: SecretStr = Field(default=SecretStr(""), description="What proves it.")
    scopes: Texts = Field(
        default=("openid", "profile", "https://id.fedoraproject.org/scope/groups"),
        description="What is asked for; the defaults are those of Fedora's provider.",
    )
    name_claim: str = Field(default="nickname", description="Claim that holds the user's name.")
    groups_claim: str = Field(default="groups", description="Claim that holds the list of the user's groups.")
    timeout: PositiveFloat = Field(default=10, description="Seconds to wait for an answer of the provider.")


class AuthConfig(Section):
    """Who is logged in: told by an OpenID Connect provider, or by the web server in front."""

    method: Literal["environment", "oidc"] = Field(
        default="environment",
        description="environment: the web server in front asks for /login, and says who it is; oidc: we do.",
    )
    admin_groups: Texts = Field(default=(), description="Groups of people whose members administer Koschei.")
    groups_env: str = Field(
        default="OIDC_CLAIM_groups",
        description="WSGI environment variable that names the user's groups, separated by commas or spaces.",
    )
    login_hours: PositiveFloat = Field(default=12, description="Hours after which people have to log in again.")
    oidc: OidcConfig = OidcConfig()
    user_env: str = Field(default="REMOTE_USER", description="WSGI environment variable that names the user.")
    user_re: str = Field(
        default="(.+)", description="Regular expression for all of it; its first group is the user's name."
    )

    @field_validator("user_re")
    @classmethod
    def _expression_has_a_group(cls, value: str) -> str:
        try:
            groups = re.compile(value).groups
        except re.error as error:
            raise ValueError(f"is not a regular expression: {error}") from error
        if groups < 1:
            raise ValueError("needs a group (in parentheses) around the user's name")
        return value

    @model_validator(mode="after")
    def _provider_is_known(self) -> Self:
        if self.method == "oidc" and self.oidc.issuer is None:
            raise ValueError("method is oidc, but oidc.issuer does not say who the provider is")
        return self


class FrontendConfig(Section):
    """The pages."""

    external_url: WebAddress | None = Field(
        default=None, description="Address people use, for links in reports and messages."
    )
    source: WebAddress | None = Field(
        default=None, description="Where Koschei's source code is: a link at the foot of every page; unset: none."
    )
    issues: WebAddress | None = Field(
        default=None,
        description=(
            "Where people tell what is wrong with Koschei: a link at the foot of every page, and where something "
            "broke; unset: none."
        ),
    )
    packages_per_page: PositiveInt = Field(default=100, description="Rows of a package list.")
    builds_per_page: PositiveInt = Field(default=15, description="Entries of a package's history.")
    edits_per_hour: PositiveInt = Field(
        default=120, description="Changes that one person may make in an hour; those who administer are not limited."
    )
    highest_manual_priority: PositiveInt = Field(
        default=10000, description="Highest manual priority that people who do not administer may give a package."
    )
    auth: AuthConfig = AuthConfig()


class BugreportTemplate(Section):
    """What the report says. Each field may use {name}, {version}, {release}, {arch}, {package}, {collection},
    {collection.name}, {collection.bugzilla_product}, {collection.bugzilla_version}, {url} and {evidence}; where one has
    no value, there is no report.
    """

    product: str = Field(default="{collection.bugzilla_product}", description="Product.")
    component: str = Field(default="{package}", description="Component.")
    version: str = Field(default="{collection.bugzilla_version}", description="Version of the product.")
    short_desc: str = Field(default="{name}: FTBFS in {collection}", description="Summary, in a line.")
    bug_file_loc: str = Field(default="{url}", description="Address that the bug is about.")
    comment: str = Field(
        default=bugreport.COMMENT,
        description="The text; {evidence} is task and logs, last good build and nearest changes.",
    )

    @field_validator("*")
    @classmethod
    def _can_be_filled(cls, value: str) -> str:
        return bugreport.check(value)


class BugreportConfig(Section):
    """The "file a bug" link."""

    url: str = Field(
        default="https://bugzilla.redhat.com/enter_bug.cgi?{query}",
        description="Address of the form; {query} is replaced.",
    )

    template: BugreportTemplate = BugreportTemplate()

    @field_validator("url")
    @classmethod
    def _url_takes_a_query(cls, value: str) -> str:
        if "{query}" not in value:
            raise ValueError("must contain {query}, which stands for the report")
        return web_address(value)
