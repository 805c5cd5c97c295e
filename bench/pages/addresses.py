"""Which addresses are looked at: at least one for every route of the application that can be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from string import Formatter
from urllib.parse import quote

from flask import Flask
from werkzeug.routing import Rule

from bench.pages.sights import Sights

# Addresses by endpoint; in braces what stands in bench.pages.sights. What the database does not have is left out, if
# another address of the endpoint remains. Routes without arguments need not be here: they are looked at as they are.
ADDRESSES: dict[str, tuple[str, ...]] = {
    "overview.overview": ("/", "/?collection={collection}"),
    "packages.listing": (
        "/packages",
        "/packages?collection={collection}",
        "/packages?state=failing,unresolved&order_by=since",
        "/packages?order_by=current_priority",
        "/packages?order_by=-started&untracked=1",
        "/packages?order_by=state-{collection}&after={package}&key=3",
        "/packages?running=1",
        "/packages?user={busiest_user}",
        "/packages?after={package}",
        "/packages?group={largest_group}",
        "/packages?group={group}&state=failing",
        "/packages?q=lib",
        "/packages?q=e&order_by=since",
        "/packages?q=e&user={busiest_user}&group={largest_group}",
    ),
    "package.detail": (
        "/package/{package}",
        "/package/{package}?collection={other_collection}",
        "/package/{most_built}?collection={collection}",
        "/package/{most_built}?collection={collection}&last_seen_ts=1790000000",
        "/package/{failing}",
        "/package/{unresolved}",
        "/package/{most_pending}",
    ),
    "builds.detail": (
        "/build/{build}",
        "/build/{failed_build}",
        "/build/{running_build}",
        "/build/{most_changed_build}",
        "/build/{most_changed_build}?name=lib&kind=upgraded",
    ),
    "collections.detail": ("/collection/{collection}", "/collection/{broken_collection}"),
    "groups.listing": ("/groups", "/groups?of=users", "/groups?q=sig"),
    "groups.detail": (
        "/groups/{group}",
        "/groups/{largest_group}",
        "/groups/{largest_group}?collection={collection}",
        "/groups/{largest_group}?order_by=current_priority",
    ),
    "groups.of_namespace": ("/groups/{own_group}",),
    "group_forms.edit": ("/groups/{group}/edit", "/groups/{largest_group}/edit", "/groups/{own_group}/edit"),
    "group_forms.delete": ("/groups/{own_group}/delete",),
    "stats.stats": ("/stats", "/stats?days=365", "/stats?collection={collection}"),
    "audit.log": ("/log", "/log?user={user}", "/log?package={package}", "/log?environment=frontend"),
    "groups.user": ("/user/{user}", "/user/{busiest_user}", "/user/somebody-unknown"),
    "search.search": (
        "/search?q=rust",
        "/search?q=a",
        "/search?q=*e*o*",
        "/search?q=pythn-something",
        "/search?q={package}",
    ),
    "api_v1.packages": (
        "/api/v1/packages?collection={collection}",
        "/api/v1/packages?name={package}",
        "/api/v1/packages",
    ),
    "api_v2.packages": (
        "/api/v2/packages",
        "/api/v2/packages?limit=500",
        "/api/v2/packages?collection={collection}&state=failing",
        "/api/v2/packages?group={largest_group}",
        "/api/v2/packages?maintainer={busiest_user}",
        "/api/v2/packages?contains=zzz",
        "/api/v2/packages?running=true",
    ),
    "api_v2.package": ("/api/v2/packages/{package}", "/api/v2/packages/{most_built}"),
    "api_v2.pending_changes": ("/api/v2/packages/{most_pending}/{most_pending_in}/changes",),
    "api_v2.resolutions": ("/api/v2/packages/{unresolved}/{collection}/resolutions",),
    "api_v2.build_list": (
        "/api/v2/builds",
        "/api/v2/builds?limit=500",
        "/api/v2/builds?package={most_built}",
        "/api/v2/builds?collection={other_collection}&state=failed",
        "/api/v2/builds?state=running",
    ),
    "api_v2.build": ("/api/v2/builds/{build}", "/api/v2/builds/{most_changed_build}"),
    "api_v2.build_changes": ("/api/v2/builds/{build}/changes", "/api/v2/builds/{most_changed_build}/changes"),
    "api_v2.collection": ("/api/v2/collections/{collection}", "/api/v2/collections/{broken_collection}"),
    "api_v2.events": ("/api/v2/events", "/api/v2/events?limit=500"),
    "api_v2.problems": ("/api/v2/problems", "/api/v2/problems?limit=500"),
    "api_v2.global_group": ("/api/v2/groups/{group}", "/api/v2/groups/{largest_group}"),
    "api_v2.users_group": ("/api/v2/groups/{own_group}",),
    "api_v2.user": ("/api/v2/users/{user}", "/api/v2/users/{busiest_user}"),
    "api_v2.users_packages": ("/api/v2/users/{user}/packages", "/api/v2/users/{busiest_user}/packages"),
    "docs.document": ("/documentation/user-guide", "/documentation/operations", "/documentation/configuration"),
    "affected.affected": (
        "/affected-by/{step}?collection={step_in}&epoch1={step_epoch1}&version1={step_version1}"
        "&release1={step_release1}&epoch2={step_epoch2}&version2={step_version2}&release2={step_release2}",
        "/affected-by/{added}?collection={collection}&version2={added_version}&release2={added_release}",
        "/affected-by/nothing?collection={collection}&version1=1&release1=1",
    ),
    "badges.svg": ("/badge/{collection}/{package}.svg",),
    "badges.png": ("/badge/{collection}/{package}.png",),
    "bugreport.report": ("/bugreport/{reportable}?collection={reportable_in}",),
    "diff.difference": (
        "/collections/diff/{collection}/{other_collection}",
        "/collections/diff/{collection}/{other_collection}?here=ok&there=failing",
    ),
    "feeds.of_package": ("/package/{most_built}/feed.atom",),
    "feeds.of_collection": ("/collection/{collection}/feed.atom",),
    "feeds.of_group": ("/groups/{group}/feed.atom", "/groups/{largest_group}/feed.atom"),
    "feeds.of_namespaced_group": ("/groups/{own_group}/feed.atom",),
    "feeds.of_user": ("/user/{user}/feed.atom", "/user/{busiest_user}/feed.atom"),
    "api_v1.difference": ("/api/v1/collections/diff/{collection}/{other_collection}",),
}
# Not ours to measure: files, and what another service answers.
LEFT_OUT = frozenset({"static", "login.login", "login.callback"})


@dataclass(frozen=True)
class Address:
    """Where to look; the route that it belongs to."""

    endpoint: str
    rule: str
    path: str


def addresses(app: Flask, sights: Sights) -> list[Address]:
    """All of them, by route. Errors: LookupError for routes with arguments that nothing here is an example of."""
    found: list[Address] = []
    missing: list[str] = []
    endpoints: set[str] = set()
    for rule in sorted(_readable(app), key=lambda rule: rule.rule):
        if rule.endpoint in endpoints:
            continue
        endpoints.add(rule.endpoint)
        patterns = ADDRESSES.get(rule.endpoint, () if rule.arguments else (rule.rule,))
        paths = list(_paths(patterns, sights))
        if not paths:
            missing.append(f"{rule.endpoint} ({rule.rule})")
        found += [Address(rule.endpoint, rule.rule, path) for path in paths]
    if missing:
        raise LookupError(f"bench/pages/addresses.py has no example that there is of: {', '.join(missing)}")
    return found


def _readable(app: Flask) -> Iterator[Rule]:
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and rule.endpoint not in LEFT_OUT:
            yield rule


def _paths(patterns: Iterable[str], sights: Sights) -> Iterator[str]:
    for pattern in patterns:
        words = [word for _, word, _, _ in Formatter().parse(pattern) if word]
        if all(word in sights for word in words):
            yield pattern.format(**{word: quote(sights[word], safe="/") for word in words})
