"""The solvers there are, by the name `dependency.engine` gives them."""

from __future__ import annotations

from koschei.depsolve.interface import Engine
from koschei.errors import ConfigError

ENGINES = ("solv",)


def engine(name: str) -> Engine:
    """The engine called `name`; ConfigError when there is none."""
    if name == "solv":
        # Loaded late: a library that is not chosen need not be there.
        from koschei.depsolve.solv_engine import SolvEngine

        return SolvEngine()
    raise ConfigError(f"dependency.engine: there is no engine {name!r}; there are: {', '.join(ENGINES)}")
