"""The tables, one module per aggregate. Importing this package knows them all."""

from koschei.model.base import Base
from koschei.model.builds import Build, BuildDependencies, KojiTask
from koschei.model.collections import (
    BuildrootProblem,
    Collection,
    CollectionGroup,
    CollectionGroupRelation,
    CollectionStateChange,
    RepositoryResolution,
)
from koschei.model.dependencies import AppliedChange, Dependency, DependencySweep, UnappliedChange
from koschei.model.groups import GroupACL, PackageGroup, PackageGroupRelation
from koschei.model.maintainers import MaintainerSource, PackageMaintainer
from koschei.model.notices import AdminNotice
from koschei.model.outbox import OutboxEvent
from koschei.model.packages import BasePackage, Cause, Package, PackageStateChange
from koschei.model.parked import ParkedMessage
from koschei.model.resolution import ResolutionChange, ResolutionProblem
from koschei.model.services import ServiceStatus
from koschei.model.srpms import Srpm
from koschei.model.statistics import (
    ResourceConsumption,
    StatisticsBuilds,
    StatisticsDay,
    StatisticsRefresh,
    StatisticsTasks,
    UncountedBuild,
)
from koschei.model.tokens import ApiToken
from koschei.model.users import Environment, LogEntry, User
from koschei.model.webhooks import Webhook, WebhookDelivery

__all__ = [
    "AdminNotice",
    "ApiToken",
    "AppliedChange",
    "Base",
    "BasePackage",
    "Build",
    "BuildDependencies",
    "BuildrootProblem",
    "Cause",
    "Collection",
    "CollectionGroup",
    "CollectionGroupRelation",
    "CollectionStateChange",
    "Dependency",
    "DependencySweep",
    "Environment",
    "GroupACL",
    "KojiTask",
    "LogEntry",
    "MaintainerSource",
    "OutboxEvent",
    "Package",
    "PackageGroup",
    "PackageGroupRelation",
    "PackageMaintainer",
    "PackageStateChange",
    "ParkedMessage",
    "RepositoryResolution",
    "ResolutionChange",
    "ResolutionProblem",
    "ResourceConsumption",
    "ServiceStatus",
    "Srpm",
    "StatisticsBuilds",
    "StatisticsDay",
    "StatisticsRefresh",
    "StatisticsTasks",
    "UnappliedChange",
    "UncountedBuild",
    "User",
    "Webhook",
    "WebhookDelivery",
]
