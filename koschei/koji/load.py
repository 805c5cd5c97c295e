"""How busy Koji's builders are."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from koschei.koji.answers import Row, nonsense, rows
from koschei.koji.arches import NOARCH, canonical
from koschei.koji.records import Host
from koschei.koji.session import KojiSession

CHANNEL = "default"
"""The channel whose builders carry out ordinary builds."""


def load(session: KojiSession, arches: Iterable[str], tag_arches: Iterable[str]) -> float:
    """Load of the builders for these architectures, 0 to 1: of the busiest architecture; for noarch, of the idlest.

    A noarch package can be built on any of `tag_arches`. Raises ValueError without architectures.
    """
    wanted = set(arches)
    anywhere = NOARCH in wanted
    spelled = set(tag_arches) if anywhere else wanted
    names = canonical(spelled)
    if not names:
        raise ValueError("the load of no architecture was asked for")
    channel = session.read("getChannel", CHANNEL)
    if channel is None:
        raise nonsense("getChannel", f"the channel {CHANNEL}", channel)
    # The hub looks for whole words in what a builder says about itself, which may be either spelling
    answer = session.read("listHosts", sorted(names | spelled), Row("getChannel", channel).number("id"), enabled=True)
    hosts = rows("listHosts", answer, partial(Host.from_koji, "listHosts"))
    return (min if anywhere else max)(arch_load(hosts, arch) for arch in names)


def arch_load(hosts: Iterable[Host], arch: str) -> float:
    """Load of the builders for one canonical architecture; 1 without any, and one that is not ready is full."""
    able = [host for host in hosts if arch in canonical(host.arches)]
    capacity = sum(host.capacity for host in able)
    taken = sum(min(host.load, host.capacity) if host.ready else host.capacity for host in able)
    return taken / capacity if capacity else 1.0
