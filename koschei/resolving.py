"""What both resolvers work with: that of packages (resolution) and that of builds (build_resolution)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from koschei.buildroots import Buildroots
from koschei.config import Config
from koschei.db.engine import Database
from koschei.dependencies import DependencyIds
from koschei.koji.session import KojiSession

# How long Koji is not asked again for a source package that it does not have.
MISSING_DELAY = timedelta(minutes=30)


@dataclass
class Resolving:
    """The base of a resolver. `stopping` is asked between packages, `stop` ends downloads, `alive` is told how they
    go on, `clock` tells UTC time.
    """

    database: Database
    koji: KojiSession
    config: Config
    stopping: Callable[[], bool] = lambda: False
    stop: threading.Event | None = None
    alive: Callable[[], None] = lambda: None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __post_init__(self) -> None:
        self.buildroots = Buildroots(self.koji, self.config, stop=self.stop, alive=self.alive)
        self.ids = DependencyIds(self.config.dependency.dependency_cache_capacity)
