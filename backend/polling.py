"""polling: sees everything that no message told, and keeps package lists and real builds up to date."""

from __future__ import annotations

from collections.abc import Callable

from backend import metrics
from backend.apart import apart
from backend.frame import Context, PassReport, Service
from koschei import builds, maintainers, real_builds, statistics, submission
from koschei.model import Collection
from koschei.packages import refresh_package_list
from koschei.queries.collections import all_collections


def prepare(context: Context) -> Callable[[], PassReport]:
    """The polling pass: running builds, each collection's package list and its real builds, and who maintains what."""

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
        owners = maintainers.Report()
        if not context.stopping():
            with apart(report, "maintainers"):
                # That its source fails is no reason to do all the rest again sooner: it is told, and tried next time.
                owners = maintainers.refresh(context.database, context.config, context.now())
        counted = statistics.Refreshed(0, 0, behind=True)
        if not context.stopping():
            with apart(report, "statistics"):
                counted = statistics.refresh(context.database, context.config, context.now(), stopping=context.stopping)
                metrics.PACKAGES_WAITING.set(counted.waiting)
        report.detail = {
            "builds_ended": ended,
            "real_builds": registered,
            "maintainers": owners.detail(),
            "builds_counted": counted.builds,
        }
        return report

    return one_pass


def _collections(context: Context) -> list[Collection]:
    with context.database.begin() as session:
        return all_collections(session)


def _poll(context: Context, collection: Collection, report: PassReport) -> int:
    listing = refresh_package_list(context.database, context.koji, collection, context.now())
    if listing.refused:
        report.errors.append(f"{collection.name}: {listing.refused}")
    tagged = real_builds.refresh(context.database, context.koji, context.config, collection, context.now())
    if tagged.refused:
        report.errors.append(f"{collection.name}: {tagged.refused}")
    metrics.REAL_BUILDS.labels(collection.name).inc(tagged.registered)
    return tagged.registered


SERVICE = Service("polling", 2, prepare)
