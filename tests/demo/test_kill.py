"""Whoever is killed, whenever: the story ends as it must, nothing is lost, nothing happens twice."""

from __future__ import annotations

import random
import threading
from pathlib import Path

from sqlalchemy import text

from demo import ending
from demo.cast import Expected, expected
from demo.hub import Timings
from demo.observer import COLLECTION
from demo.settings import SERVICES, Folder
from demo.show import Work
from demo.stage import Stage
from demo.story import Story

KILLS = 24
DATABASE = "postgres"
UNHURRIED = Timings(assign=0.2, srpm=(0.2, 0.8), arch=(0.5, 2.0), repo=(0.5, 1.5))


class Killer:
    """Kills one of Koschei's services, or PostgreSQL, at moments that chance chooses."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self._stage, self._rng = stage, random.Random(seed)
        self.victims: list[str] = []

    def strike(self) -> None:
        """Kill somebody; a database stays down for a moment."""
        victim = self._rng.choice((*SERVICES, DATABASE))
        if victim != DATABASE:
            if self._stage.supervisor.kill(victim):
                self.victims.append(victim)
            return
        self._stage.postgres.kill()
        self.victims.append(victim)
        threading.Event().wait(self._rng.uniform(0, 1.5))
        self._stage.postgres.start()

    def pause(self) -> float:
        """Seconds until the next one."""
        return self._rng.uniform(0.4, 2.5)


def test_the_end_is_the_same_however_often_services_and_database_are_killed(tmp_path: Path) -> None:
    told: list[str] = []
    stopping = threading.Event()
    folder = Folder(tmp_path)
    with Stage(folder, 0, UNHURRIED, tell=told.append, patience=150, stopping=stopping, durable=True) as stage:
        killer = Killer(stage, seed=20261122)
        story = Story(stage.world, stage.observer, stage.admin, told.append)
        with Work(story.run) as work:
            while not work.over(killer.pause()):
                if len(killer.victims) < KILLS:
                    killer.strike()
        assert work.error is None, f"{work.error}\n" + "\n".join(told)
        assert len(killer.victims) >= 20, killer.victims
        assert DATABASE in killer.victims
        with stage.observer.database.read() as session:
            must = expected(stage.world.distribution)
            assert ending.differences(session, stage.world.hub, must, COLLECTION) == [], killer.victims
            assert ending.summary(session, COLLECTION)["broken_packages"] == must.broken
        _tampering_is_noticed(stage, must)


ANOTHER_TASK = "UPDATE build SET task_id = 999999 WHERE id = (SELECT min(id) FROM build WHERE NOT real)"
TAMPERINGS = {
    "but the events say": "DELETE FROM outbox_event WHERE id = (SELECT max(id) FROM outbox_event)",
    "has a gap": (
        "DELETE FROM package_state_change WHERE id = (SELECT min(s.id) FROM package_state_change AS s "
        "JOIN package AS p ON p.id = s.package_id WHERE p.name = 'gitg' AND s.new = 'failing')"
    ),
    "its history ends with": "UPDATE package SET resolved = false WHERE name = 'zstd'",
    "zstd: expected ok, found unresolved": "UPDATE package SET resolved = false WHERE name = 'zstd'",
    "is followed by 0 builds": ANOTHER_TASK,
    "Koji has no such scratch build": ANOTHER_TASK,
    "expected complete, found failed": "UPDATE build SET state = 5 WHERE NOT real AND state = 3",
    "builds that do not count": "DELETE FROM build WHERE state IN (4, 6)",
}


def _tampering_is_noticed(stage: Stage, must: Expected) -> None:
    """What the test above rests on does see what it looks for."""
    for words, statement in TAMPERINGS.items():
        with stage.observer.database.sessions() as session:
            session.execute(text(statement))
            found = ending.differences(session, stage.world.hub, must, COLLECTION)
            assert any(words in line for line in found), (words, found)
            session.rollback()
