"""Believable statistics of a year and a half, in the rows that polling would have kept."""

from __future__ import annotations

import math
import random
from datetime import timedelta

from koschei.model import (
    Collection,
    ResourceConsumption,
    StatisticsBuilds,
    StatisticsDay,
    StatisticsRefresh,
    StatisticsTasks,
)
from koschei.rules.states import BuildState
from tests.world import NOW, World, ago

DAYS = 550
ARCHES = {"x86_64": 1.0, "aarch64": 1.3, "s390x": 1.1, "ppc64le": 1.5, "noarch": 0.4}
HEAVY = {"libreoffice": 40, "gcc": 30, "llvm": 28, "kernel": 26, "qt6-qtbase": 12, "rust": 22, "nodejs22": 14}


def fill_statistics(world: World, collections: list[Collection], names: list[str]) -> None:
    """Statistics of these collections, the first of which is the busiest; packages cost what they do everywhere."""
    chance = random.Random(20260514)
    for place, collection in enumerate(collections):
        length = DAYS if place == 0 else 60 + 90 * place
        for age in range(length):
            _day(world, collection, age, 1 / (1 + 2 * place), chance)
    whole = 0.0
    for name in names:
        weight = HEAVY.get(name, chance.uniform(0.1, 3))
        for arch, factor in ARCHES.items():
            tasks = chance.randint(20, 60)
            seconds = round(tasks * weight * factor * 300 * chance.uniform(0.8, 1.2), 3)
            whole += seconds
            world.session.add(ResourceConsumption(name=name, arch=arch, tasks=tasks, seconds=seconds))
    world.session.add(StatisticsRefresh(id=1, build_id=10**9, task_seconds=whole, behind=False, refreshed=ago(0.2)))


def _day(world: World, collection: Collection, age: int, busy: float, chance: random.Random) -> None:
    day = NOW.date() - timedelta(days=age)
    keys = {"collection_id": collection.id, "day": day}
    rebuild = 60 * math.exp(-(((age - 75) / 9) ** 2))  # a mass rebuild
    failing = int(4 + 3 * math.sin(age / 14) + rebuild / 4 + chance.random() * 2)
    unresolved = int(2 + 2 * math.cos(age / 23) + rebuild / 9 + chance.random())
    weekend = 0.4 if day.weekday() > 4 else 1.0
    repositories = int(30 * busy * weekend) + 1
    resolve = repositories * chance.uniform(600, 900)
    queue = int((3 + rebuild * 2 + chance.random() * 6) * busy)
    numbers = {"ok": 168 - failing - unresolved, "failing": failing, "unresolved": unresolved, "unknown": age % 3}
    world.session.add(
        StatisticsDay(
            **keys,
            **numbers,
            untracked=4,
            blocked=2,
            queue_samples=72,
            queue_sum=72 * queue,
            repositories=repositories,
            resolve_seconds=resolve,
            dated_repositories=0 if age > 200 else repositories,
            wait_seconds=0.0 if age > 200 else resolve * chance.uniform(1.5, 3),
        )
    )
    total = int((40 + rebuild * 6 + chance.randint(0, 20)) * busy * weekend)
    bad = int(total * (0.07 + rebuild / 400))
    for state, real, builds in (
        (BuildState.COMPLETE, False, total - bad),
        (BuildState.FAILED, False, bad),
        (BuildState.COMPLETE, True, total // 5),
        (BuildState.SPOILED, False, total // 40),
        (BuildState.CANCELED, False, total // 60),
    ):
        if builds:
            world.session.add(StatisticsBuilds(**keys, state=state, real=real, builds=builds, seconds=builds * 1500.0))
    for arch, factor in ARCHES.items():
        world.session.add(StatisticsTasks(**keys, arch=arch, tasks=total + 1, seconds=(total + 1) * factor * 1400))
