"""repo-resolver: resolves all packages of each collection in its newest repository."""

from __future__ import annotations

from collections.abc import Callable

from backend.apart import apart
from backend.frame import Context, PassReport, Service
from koschei.db.locks import LockSpace, trying_lock
from koschei.errors import RepositoryGone
from koschei.queries.collections import all_collections
from koschei.resolution import Resolution


def prepare(context: Context) -> Callable[[], PassReport]:
    """The repo-resolver's pass: one look at each collection that no other process is busy with."""
    resolution = Resolution(
        context.database,
        context.koji,
        context.config,
        stopping=context.stopping,
        stop=context.stop,
        alive=context.pulse.progress,
    )

    def one_pass() -> PassReport:
        report = PassReport()
        resolved, waiting = [], []
        with context.database.begin() as session:
            collections = all_collections(session)
        for collection in collections:
            if context.stopping():
                break
            with trying_lock(context.database.engine, LockSpace.REPO_RESOLVER, collection.id) as mine:
                if not mine:
                    continue
                with apart(report, collection.name):
                    try:
                        if resolution.examine(collection.id):
                            resolved.append(collection.name)
                    except RepositoryGone as error:
                        waiting.append(f"{collection.name}: {error}; waiting for the next one")
        report.detail = {"resolved": resolved, "waiting": waiting}
        return report

    return one_pass


SERVICE = Service("repo-resolver", 3, prepare, exclusive=False)
