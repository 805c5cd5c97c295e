"""Settings: what can be set (`schema`; the pages' in `frontend`), how it is read (`loading`), what is gone (`retired`).

`reference` writes the page about them. `load()` reads TOML files and the environment; everything else receives the
frozen `Config` it returns.
"""

from koschei.config.frontend import PLACEHOLDER_SECRET_KEY, AuthConfig, BugreportConfig, FlaskConfig, FrontendConfig
from koschei.config.loading import load
from koschei.config.masking import masked
from koschei.config.schema import (
    Config,
    DatabaseConfig,
    DependencyConfig,
    DirectoriesConfig,
    FedmsgConfig,
    KojiConfig,
    LoggingConfig,
    PriorityConfig,
    PublisherConfig,
    ServiceConfig,
    ServicesConfig,
)
from koschei.config.section import Section

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
