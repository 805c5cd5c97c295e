"""scheduler: submits scratch builds by priority, within limits; at most one a pass, so that Koji's load can follow."""

from __future__ import annotations

from collections.abc import Callable

from backend import metrics
from backend.frame import Context, PassReport, Service
from koschei import scheduling, submission
from koschei.audit import BACKEND
from koschei.submission import Obstacle, Submitted

# How many packages are tried in a pass when those above them cannot be submitted (busy architecture, no source).
TRIES = 20


def prepare(context: Context) -> Callable[[], PassReport]:
    """The scheduler's pass."""

    def one_pass() -> PassReport:
        database, config = context.database, context.config
        settled = submission.reconcile(database, context.koji, config, context.now())
        with database.begin() as session:
            running = scheduling.running_builds(session)
            full = running >= config.koji_config.max_builds
            queue = [] if full else scheduling.candidates(session, config, context.now(), limit=TRIES)
        metrics.BUILDS_RUNNING.set(running)
        detail = {"running": running, "max_builds": config.koji_config.max_builds, "reconciled": settled}
        if full:
            return PassReport({**detail, "waiting_for": "running builds to end"})
        obstacles = []
        for candidate in queue:
            if context.stopping():
                break
            result = submission.submit(
                database,
                context.koji,
                config,
                candidate.package_id,
                actor=BACKEND,
                now=context.now(),
                forced=False,
            )
            if isinstance(result, Submitted):
                metrics.BUILDS_SUBMITTED.inc()
                return PassReport({**detail, "running": running + 1, "submitted": candidate.name})
            obstacles.append(f"{candidate.name}: {result.reason}")
            if result.obstacle is Obstacle.LIMIT:
                break
        return PassReport({**detail, "obstacles": obstacles[:5]}, idle=not queue)

    return one_pass


SERVICE = Service("scheduler", 5, prepare)
