"""polling: sees everything that no message told, and keeps package lists and real builds up to date."""

from __future__ import annotations

from collections.abc import Callable

from backend import metrics
from backend.apart import apart
from backend.frame import Context, PassReport, Service
from koschei import builds, real_builds, submission
from koschei.model import Collection
from koschei.packages import refresh_package_list
from koschei.queries.collections import all_collections


def prepare(context: Context) -> Callable[[], PassReport]:
    """The polling pass: running builds, then for each collection its package list and its real builds."""

    def one_pass() -> PassReport:
        report = PassReport()
        ended = registered = 0
        with apart(report, "submissions"):
            # The scheduler does it, too, but may be scaled down.
            submission.reconcile(context.database, context.koji, context.config, context.now())
        with apart(report, "running builds"):
            ended = builds.refresh(context.database, context.koji, context.config, context.now())
            metrics.BUILDS_ENDED.inc(ended)
        for collection in _collections(context):
            if context.stopping():
                break
            with apart(report, collection.name):
                registered += _poll(context, collection, report)
        report.detail = {"builds_ended": ended, "real_builds": registered}
        return report

    return one_pass


def _collections(context: Context) -> list[Collection]:
    with context.database.begin() as session:
        return all_collections(session)


def _poll(context: Context, collection: Collection, report: PassReport) -> int:
    listing = refresh_package_list(context.database, context.koji, collection, context.now())
    if listing.refused:
        report.errors.append(f"{collection.name}: {listing.refused}")
    new = real_builds.refresh(context.database, context.koji, context.config, collection, context.now())
    metrics.REAL_BUILDS.labels(collection.name).inc(new)
    return new


SERVICE = Service("polling", 2, prepare)
