"""How busy the builders are."""

from __future__ import annotations

import pytest

from koschei.errors import KojiOutage
from koschei.koji.load import arch_load, load
from koschei.koji.records import Host

TAG = ("i686", "x86_64", "armv7hl")


def host(arches: str, task_load: object, capacity: object = 2.0, *, ready: object = True) -> dict[str, object]:
    return {"id": 1, "name": "builder", "arches": arches, "capacity": capacity, "task_load": task_load, "ready": ready}


@pytest.fixture
def builders(hub):
    """Sets what the hub's builders are."""
    hub.say("getChannel", {"id": 3, "name": "default"})
    return lambda *hosts: hub.say("listHosts", list(hosts))


def test_the_busiest_architecture_counts(session, builders):
    builders(host("i386 x86_64", 1.0, 4.0), host("armhfp", 1.5))
    assert load(session, ["x86_64", "armv7hl"], TAG) == pytest.approx(0.75)
    assert load(session, ["x86_64"], TAG) == pytest.approx(0.25)


def test_for_noarch_the_idlest_architecture_of_the_tag_counts(session, builders):
    builders(host("i386 x86_64", 1.0, 4.0), host("armhfp", 1.5), host("s390x", 0.0))
    assert load(session, ["noarch"], TAG) == pytest.approx(0.25)


def test_builders_of_one_architecture_are_taken_together(session, builders):
    builders(host("x86_64", 1.0, 4.0), host("x86_64 i686", 3.0, 4.0))
    assert load(session, ["x86_64"], TAG) == pytest.approx(0.5)
    assert load(session, ["i686"], TAG) == pytest.approx(0.75)


def test_a_builder_that_is_not_ready_is_full(session, builders):
    builders(host("x86_64", 0.0, 2.0, ready=False), host("x86_64", 0.0, 2.0))
    assert load(session, ["x86_64"], TAG) == pytest.approx(0.5)


def test_an_overloaded_builder_is_full_and_no_more(session, builders):
    builders(host("x86_64", 9.0, 2.0), host("x86_64", 0.0, 2.0))
    assert load(session, ["x86_64"], TAG) == pytest.approx(0.5)


@pytest.mark.parametrize("hosts", [[], [host("x86_64", 0.0, 0.0)]])
def test_without_capacity_everything_is_busy(session, builders, hosts):
    builders(*hosts)
    assert load(session, ["x86_64"], TAG) == 1.0


def test_the_hub_is_asked_for_both_spellings_of_enabled_hosts_in_the_default_channel(hub, session, builders):
    builders()
    load(session, ["i686", "x86_64"], TAG)
    assert [request.params for request in hub.requests[-2:]] == [
        ("default",),
        (["i386", "i686", "x86_64"], 3, {"enabled": True, "__starstar": True}),
    ]


def test_a_builder_never_counts_for_an_architecture_with_a_longer_name():
    hosts = [Host(1, "a", ("ppc64le",), 2.0, 0.0, ready=True)]
    assert arch_load(hosts, "ppc64") == 1.0
    assert arch_load(hosts, "ppc64le") == 0.0


def test_the_load_of_nothing_is_a_mistake(session):
    with pytest.raises(ValueError, match="no architecture"):
        load(session, [], TAG)


@pytest.mark.parametrize("wrong", [host("x86_64", "much"), host("x86_64", -1.0), host("x86_64", 0.0, float("nan"))])
def test_numbers_that_make_no_sense_are_refused(session, builders, wrong):
    builders(wrong)
    with pytest.raises(KojiOutage, match="listHosts"):
        load(session, ["x86_64"], TAG)


def test_a_hub_without_the_default_channel_is_refused(hub, session):
    hub.say("getChannel", None)
    with pytest.raises(KojiOutage, match="channel default"):
        load(session, ["x86_64"], TAG)
