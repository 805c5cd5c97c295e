"""Settings: what can be set (`schema`), how it is read (`loading`), what has gone (`retired`), its page (`reference`).

`load()` reads TOML files and the environment; everything else receives the frozen `Config` it returns.
"""

from koschei.config.loading import load
from koschei.config.masking import masked
from koschei.config.schema import (
    PLACEHOLDER_SECRET_KEY,
    AuthConfig,
    BugreportConfig,
    Config,
    DatabaseConfig,
    DependencyConfig,
    DirectoriesConfig,
    FedmsgConfig,
    FlaskConfig,
    FrontendConfig,
    KojiConfig,
    LoggingConfig,
    PriorityConfig,
    PublisherConfig,
    Section,
    ServiceConfig,
    ServicesConfig,
)

__all__ = [
    "PLACEHOLDER_SECRET_KEY",
    "AuthConfig",
    "BugreportConfig",
    "Config",
    "DatabaseConfig",
    "DependencyConfig",
    "DirectoriesConfig",
    "FedmsgConfig",
    "FlaskConfig",
    "FrontendConfig",
    "KojiConfig",
    "LoggingConfig",
    "PriorityConfig",
    "PublisherConfig",
    "Section",
    "ServiceConfig",
    "ServicesConfig",
    "load",
    "masked",
]
