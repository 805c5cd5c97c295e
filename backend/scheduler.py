"""scheduler: submits scratch builds by priority, within limits; at most one a pass, so that Koji's load can follow."""

from __future__ import annotations

from collections.abc import Callable

from backend import metrics
from backend.apart import apart
from backend.frame import Context, PassReport, Service
from koschei import submission
from koschei.audit import BACKEND
from koschei.errors import ServiceError
from koschei.queries import scheduling
from koschei.queries.scheduling import Candidate
from koschei.submission import NotSubmitted, Obstacle, Submitted

# How many packages are tried in a pass when those above them cannot be submitted (busy architecture, no source).
TRIES = 20


def prepare(context: Context) -> Callable[[], PassReport]:
    """The scheduler's pass."""

    def one_pass() -> PassReport:
        database, config = context.database, context.config
        report = PassReport()
        settled = 0
        with apart(report, "lost submissions"):
            settled = submission.reconcile(database, context.koji, config, context.now())
        with database.begin() as session:
            running = scheduling.running_builds(session)
        metrics.BUILDS_RUNNING.set(running)
        report.detail = {"running": running, "max_builds": config.koji_config.max_builds, "reconciled": settled}
        if running >= config.koji_config.max_builds:
            report.detail = {**report.detail, "waiting_for": "running builds to end"}
        else:
            _submit_one(context, report)
        return report

    return one_pass


def _submit_one(context: Context, report: PassReport) -> None:
    """Submit the most deserving package that can be submitted; what is in the way of others goes into the report.

    Koji is asked for one build at most, whatever it answers. What is about us and not about a package is raised.
    A collection of which Koji does not tell is left out for the rest of the pass: it may have all the first places.
    """
    tried: set[int] = set()
    broken: set[str] = set()
    obstacles: list[str] = []
    busy = 0
    queue = _queue(context, broken)
    while len(tried) < TRIES and not context.stopping():
        candidate = next((c for c in queue if c.package_id not in tried), None)
        if candidate is None:
            break
        tried.add(candidate.package_id)
        result = _submit(context, candidate, report)
        if isinstance(result, Submitted):
            metrics.BUILDS_SUBMITTED.inc()
            report.detail = {**report.detail, "running": report.detail["running"] + 1, "submitted": candidate.name}
            return
        if result is None:
            continue
        obstacles.append(f"{candidate.name}: {result.reason}")
        busy += result.obstacle is Obstacle.LOAD
        if result.obstacle is Obstacle.LIMIT:
            break
        if result.obstacle is Obstacle.KOJI:
            report.errors.append(f"{candidate.collection}/{candidate.name}: {result.reason}")
            break  # it might refuse all of them, and each would be spoiled
        if result.obstacle is Obstacle.COLLECTION:
            report.errors.append(f"{candidate.collection}: {result.reason}")
            broken.add(candidate.collection)
            queue = _queue(context, broken)
    # Builders stay busy for a while; asking about twenty packages every few seconds would make Koji busier still.
    report.idle = busy == len(tried)
    report.detail = {**report.detail, "obstacles": obstacles[:5]}


def _queue(context: Context, broken: set[str]) -> list[Candidate]:
    with context.database.begin() as session:
        return scheduling.candidates(session, context.config, context.now(), limit=TRIES, without=broken)


def _submit(context: Context, candidate: Candidate, report: PassReport) -> Submitted | NotSubmitted | None:
    """None when it failed by a mistake of ours."""
    outage: ServiceError | None = None
    result: Submitted | NotSubmitted | None = None
    with apart(report, f"{candidate.collection}/{candidate.name}"):
        try:
            result = submission.submit(
                context.database,
                context.koji,
                context.config,
                candidate.package_id,
                actor=BACKEND,
                now=context.now(),
                forced=False,
            )
        except ServiceError as error:
            outage = error
    if outage is not None:
        raise outage  # it would be the same for every package
    return result


SERVICE = Service("scheduler", 5, prepare)
