"""Runs the demo with its own Koji: the story once, or the story and then a life without end."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo import ending
from demo.cast import expected
from demo.live import LiveStory
from demo.observer import COLLECTION, Observer, Stopped
from demo.processes import Supervisor
from demo.screen import Screen, View
from demo.settings import DemoError, Folder
from demo.stage import Stage
from demo.story import LEISURELY, QUICK, Story
from koschei.errors import DatabaseError, NotFoundError

LOOK_SECONDS = 0.5
QUOTED = 5
LAST_WORDS_SECONDS = 15.0
STOPPED = 130
PATIENCE_ONCE, PATIENCE = 90.0, 600.0


class Work:
    """Something that goes on in a thread while the main thread watches; `error` is what ended it."""

    def __init__(self, task: Callable[[], None]) -> None:
        self.error: Exception | None = None
        self._task = task
        self._thread = threading.Thread(target=self._run, name="story", daemon=True)

    def __enter__(self) -> Work:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._thread.join(timeout=5)

    def _run(self) -> None:
        try:
            self._task()
        except Exception as error:  # handed to the main thread, which raises it
            self.error = error

    def over(self, seconds: float) -> bool:
        """Whether it has ended, after waiting that long for it."""
        self._thread.join(timeout=seconds)
        return not self._thread.is_alive()


@contextmanager
def signals_stop() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; they do nothing else."""
    stopping = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class Report:
    """How it ended: the summary, and what is not as it must be."""

    found: dict[str, Any]
    wrong: list[str]

    def show(self) -> int:
        """Print the summary as the last line, what is wrong to standard error; the exit status."""
        for line in self.wrong:
            print(f"demo: {line}", file=sys.stderr)
        print(json.dumps(self.found), flush=True)
        return 1 if self.wrong else 0


def run(folder: Path, port: int, *, once: bool, patience: float | None, bus: bool) -> int:
    """Run it; the exit status. The summary comes when everything has been taken down, so that nothing follows it."""
    with signals_stop() as stopping, Screen("Koschei's demo", plain=once) as screen:
        ended = _run(Folder(folder), port, screen, stopping, once=once, patience=patience, bus=bus)
    return ended.show() if isinstance(ended, Report) else ended


def _run(
    folder: Folder,
    port: int,
    screen: Screen,
    stopping: threading.Event,
    *,
    once: bool,
    patience: float | None,
    bus: bool,
) -> Report | int:
    timings, usual = (QUICK, PATIENCE_ONCE) if once else (LEISURELY, PATIENCE)
    seconds = patience or usual
    with Stage(
        folder, port, timings, tell=screen.tell, patience=seconds, stopping=stopping, endless=not once, with_bus=bus
    ) as stage:
        story = Story(stage.world, stage.observer, stage.admin, screen.tell)
        if not once:
            screen.tell(f"in another shell: . {folder.path / 'env'}; koschei-admin status")
        with Work(lambda: _tell(story, screen, stopping, once)) as work:
            heading = f"Koschei's demo: {stage.ports.url}   (Koji: {stage.observer.config.koji_config.weburl})"
            watch(work, screen, heading, stage.observer, stage.supervisor, stopping)
            if stopping.is_set():
                screen.tell("stopping")
                return STOPPED if once else 0
            if work.error is not None and not (once and isinstance(work.error, DemoError)):
                raise work.error
            _quote(stage)
            return report(stage, stalled=work.error)


def _quote(stage: Stage) -> None:
    """Say what those heard who listen to Koschei on the bus."""
    if stage.bus is None:
        return
    deadline = time.monotonic() + LAST_WORDS_SECONDS
    while stage.observer.status().outbox and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    heard = stage.bus.heard()
    stage.tell(f"{len(heard)} messages were sent on the bus; the last ones:")
    for summary in heard[-QUOTED:]:
        stage.tell(f"    {summary}")


def _tell(story: Story, screen: Screen, stopping: threading.Event, once: bool) -> None:
    try:
        story.run()
        screen.tell("the story is told")
        if not once:
            screen.tell("from now on, things happen as they do in any distribution")
            LiveStory(story, screen.tell, stopping).run()
    except Stopped:
        return


def watch(
    work: Work,
    screen: Screen,
    heading: str,
    observer: Observer,
    supervisor: Supervisor,
    stopping: threading.Event,
    collection: str = COLLECTION,
) -> None:
    """Show how things go until the work is over or somebody wants an end. DemoError when a process cannot be kept."""
    while not work.over(LOOK_SECONDS) and not stopping.is_set():
        if (why := supervisor.hopeless()) is not None:
            stopping.set()
            raise DemoError(why)
        if screen.interactive:
            screen.show(heading, view(observer, supervisor, collection))


def view(observer: Observer, supervisor: Supervisor, collection: str) -> View:
    """How everything is; without what the database says when it does not answer."""
    pids, deaths = supervisor.pids(), supervisor.deaths()
    try:
        return View(observer.status(), observer.counts(collection), pids, deaths)
    except (DatabaseError, NotFoundError):
        return View(processes=pids, deaths=deaths)


def report(stage: Stage, stalled: Exception | None) -> Report:
    """What the database holds, compared with what it must; a story that stalled is the first thing that is wrong."""
    with stage.observer.database.read() as session:
        wrong = ending.differences(session, stage.world.hub, expected(stage.world.distribution), COLLECTION)
        found = ending.summary(session, COLLECTION)
    return Report(found, ([str(stalled)] if stalled else []) + wrong)
