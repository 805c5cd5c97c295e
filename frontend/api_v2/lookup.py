"""Finding what a request names, or saying that there is none."""

from __future__ import annotations

from collections.abc import Iterable

from frontend import context
from koschei.errors import NotFoundError
from koschei.model import PackageGroup
from koschei.queries import api_packages, groups
from koschei.rules.names import shown


def collections(names: Iterable[str]) -> frozenset[str]:
    """These names, if there are such collections. Errors: NotFoundError for the first that there is not."""
    return frozenset(context.collection(name).name for name in names)


def group(full_name: str) -> PackageGroup:
    """The group of this name. Errors: NotFoundError."""
    found = groups.find(context.session(), full_name)
    if found is None:
        raise NotFoundError(f"There is no group {shown(full_name)}. It may have been renamed or deleted")
    return found


def package(name: str, where: str) -> int:
    """The number of a package in a collection. Errors: NotFoundError."""
    found = api_packages.in_collection(context.session(), name, context.collection(where).id)
    if found is None:
        raise NotFoundError(f"There is no package {shown(name)} in {where}")
    return found
