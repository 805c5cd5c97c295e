"""Repository in, answers out: which packages a buildroot would contain, or why it cannot be made."""

from koschei.depsolve.engines import engine
from koschei.depsolve.interface import Answer, Engine, Nevra, Resolver
from koschei.depsolve.repository import LocalRepository, RepositoryCache

__all__ = ["Answer", "Engine", "LocalRepository", "Nevra", "RepositoryCache", "Resolver", "engine"]
