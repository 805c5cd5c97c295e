"""The solvers there are, by the name `dependency.engine` gives them."""

from __future__ import annotations

from koschei.depsolve.interface import Engine
from koschei.errors import ConfigError

ENGINES = ("solv", "libdnf5")


def engine(name: str) -> Engine:
    """The engine called `name`; ConfigError when there is none, or its library is not on this machine."""
    # Loaded late: a library that is not chosen need not be there.
    if name == "solv":
        from koschei.depsolve.solv_engine import SolvEngine

        return SolvEngine()
    if name == "libdnf5":
        from koschei.depsolve.libdnf5_engine import Libdnf5Engine

        return Libdnf5Engine()
    raise ConfigError(f"dependency.engine: there is no engine {name!r}; there are: {', '.join(ENGINES)}")
