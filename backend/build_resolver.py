"""build-resolver: finds out with which dependencies each build was made."""

from __future__ import annotations

from collections.abc import Callable

from backend import metrics
from backend.apart import apart
from backend.frame import Context, PassReport, Service
from koschei import build_resolution
from koschei.build_resolution import BuildResolution
from koschei.db.locks import LockSpace, trying_lock


def prepare(context: Context) -> Callable[[], PassReport]:
    """The build-resolver's pass: every repository in which builds wait and that no other process is busy with."""
    resolution = BuildResolution(
        context.database,
        context.koji,
        context.config,
        stopping=context.stopping,
        stop=context.stop,
        alive=context.pulse.progress,
    )

    def one_pass() -> PassReport:
        report = PassReport()
        done = 0
        with context.database.begin() as session:
            waiting = build_resolution.pending(session)
        for work in waiting:
            if context.stopping():
                break
            with trying_lock(context.database.engine, LockSpace.BUILD_RESOLVER, work.repo_id) as mine:
                if not mine:
                    continue
                with apart(report, f"repository {work.repo_id}"):
                    done += resolution.resolve(work)
        metrics.BUILDS_RESOLVED.inc(done)
        report.detail = {"builds_resolved": done}
        return report

    return one_pass


SERVICE = Service("build-resolver", 4, prepare, exclusive=False)
