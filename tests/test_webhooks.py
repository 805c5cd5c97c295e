"""Webhooks: what can be made and changed, which events each is told, in which order, and what becomes of failures."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text, update

from koschei import retention, webhook_queue, webhooks
from koschei.audit import Actor
from koschei.config import Config
from koschei.config.schema import RetentionConfig
from koschei.db.engine import Database
from koschei.errors import AlreadyExistsError, EventError, InvalidInputError, NotFoundError
from koschei.messaging import events
from koschei.messaging import webhook as message
from koschei.messaging.http_post import Answer
from koschei.model import Environment, LogEntry, OutboxEvent, PackageGroup, Webhook, WebhookDelivery
from koschei.webhook_queue import Job, Outcome
from koschei.webhooks import Health, Wish
from tests.world import filling

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ALICE = Actor(Environment.ADMIN, "alice")
SITE = "https://koschei.example.org/"
CONFIG = Config.model_validate({"frontend": {"external_url": SITE}, "fedmsg": {"instance": "secondary"}})
SETTINGS = CONFIG.webhooks
URL = "https://hooks.example.org/koschei?token=hidden"
OK = Answer(0.1, 204)
NOT_OK = Answer(0.1, 500, "HTTP status 500")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    with filling(database) as world:
        for collection in (world.collection("f43"), world.collection("f44")):
            for name in ("foo", "bar"):
                world.package(name, collection)
        world.session.add_all([PackageGroup(name="c"), PackageGroup(name="xml", namespace="ana")])
    yield database
    database.dispose()


def add(database: Database, name: str = "hook", **wish: Any) -> int:
    with database.begin() as session:
        webhooks.add(session, ALICE, CONFIG, name, Wish(**{"url": URL, **wish}))
        return webhooks.find(session, name).id


def package_event(name: str, collection: str = "f43", groups: Sequence[str] = ()) -> dict[str, Any]:
    event = events.package_state_change(
        name=name, old="ok", new="failing", collection=collection, collection_name=collection, groups=groups
    )
    return {"kind": event.kind, "body": event.body}


def collection_event(collection: str) -> dict[str, Any]:
    event = events.collection_state_change(
        old="ok", new="unresolved", collection=collection, collection_name=collection, repo_id=7
    )
    return {"kind": event.kind, "body": event.body}


def happen(database: Database, *rows: dict[str, Any]) -> None:
    with database.begin() as session:
        for row in rows:
            session.execute(insert(OutboxEvent).values(**row))


def happens_to(database: Database, *names: str) -> None:
    happen(database, *map(package_event, names))


def take(database: Database, webhook_id: int, now: datetime = NOW) -> Job | None:
    with database.begin() as session:
        webhook_queue.place(session)
    with database.begin() as session:
        return webhook_queue.take(session, webhook_id, now)


def record(database: Database, job: Job, answer: Answer, now: datetime = NOW) -> Outcome | None:
    with database.begin() as session:
        return webhook_queue.record(session, SETTINGS, job, answer, now)


def told(database: Database, webhook_id: int) -> list[str]:
    """What is told to a webhook whose receiver takes everything: packages, or collections."""
    names = []
    while (job := take(database, webhook_id)) is not None:
        names.append(job.body.get("name", job.body["collection"]))
        record(database, job, OK)
    return names


def row(database: Database, name: str = "hook") -> Webhook:
    with database.begin() as session:
        return webhooks.find(session, name)


def log(database: Database) -> list[str]:
    with database.begin() as session:
        return list(session.scalars(select(LogEntry.message).order_by(LogEntry.id)))


# --- making and changing


def test_a_webhook_is_told_of_what_happens_after_it_was_made(database: Database) -> None:
    happens_to(database, "old")
    hook = add(database)
    assert take(database, hook) is None
    happens_to(database, "foo", "bar")
    assert told(database, hook) == ["foo", "bar"]
    assert take(database, hook) is None


def test_the_audit_log_names_the_host_and_nothing_that_is_secret(database: Database) -> None:
    with database.begin() as session:
        messages, secret = webhooks.add(session, ALICE, CONFIG, "hook", Wish(url=URL, collections=["f43"]))
        told, other = webhooks.rotate_secret(session, ALICE, "hook", NOW)
        messages += told
    assert log(database) == messages
    assert messages[0] == "Webhook hook created: address at https://hooks.example.org; collections = f43"
    assert secret != other
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert not any(word in " ".join(messages) for word in (secret, other, "token", "hidden"))
    with database.begin() as session:
        seen = repr(webhooks.detail(session, "hook")) + repr(webhooks.find(session, "hook"))
    assert secret not in seen
    assert other not in seen


@pytest.mark.parametrize(
    ("wish", "error", "says"),
    [
        ({"collections": ["f433"]}, NotFoundError, "f433"),
        ({"groups": ["xlm"]}, NotFoundError, "xlm"),
        ({"packages": ["foo", "fooo"]}, NotFoundError, "fooo"),
        ({"description": "a\x1bb"}, InvalidInputError, "description"),
        ({"url": "https://" + "x" * 3000}, InvalidInputError, "2000"),
        ({"url": None}, InvalidInputError, "needs an address"),
    ],
)
def test_what_makes_no_sense_is_refused(
    database: Database, wish: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        add(database, **wish)
    assert log(database) == []


def test_names_are_taken_once_and_there_is_an_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MOST", 2)
    add(database)
    with pytest.raises(AlreadyExistsError, match="there is a webhook hook"):
        add(database)
    add(database, "other")
    with pytest.raises(InvalidInputError, match="2 webhooks already"):
        add(database, "third")
    with pytest.raises(NotFoundError, match="Did you mean other"):
        row(database, "othr")


def test_only_what_differs_is_changed_and_said(database: Database) -> None:
    add(database, collections=["f44", "f43"], groups=["ana/xml"])
    with database.begin() as session:
        assert webhooks.edit(session, ALICE, CONFIG, "hook", Wish(url=URL, collections=["f43", "f44", "f43"])) == []
        assert webhooks.edit(session, ALICE, CONFIG, "hook", Wish(groups=[], packages=["foo"], description="x")) == [
            "Webhook hook modified: description = x; groups = all; packages = foo"
        ]
    assert (row(database).collections, row(database).groups, row(database).packages) == (["f43", "f44"], [], ["foo"])


def test_a_deleted_webhook_is_gone_with_its_deliveries(database: Database) -> None:
    hook = add(database)
    happens_to(database, "foo")
    job = take(database, hook)
    assert job is not None
    record(database, job, NOT_OK)
    with database.begin() as session:
        webhooks.delete(session, ALICE, "hook")
    assert record(database, job, OK) is None
    with database.begin() as session:
        assert session.scalar(select(func.count()).select_from(WebhookDelivery)) == 0


# --- who is told what


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({}, ["foo", "bar", "foo44", "lone", "f43", "f44"]),
        ({"kinds": ["collection.state.change"]}, ["f43", "f44"]),
        ({"kinds": ["package.state.change", "collection.state.change"]}, ["foo", "bar", "foo44", "lone", "f43", "f44"]),
        ({"collections": ["f44"]}, ["foo44", "f44"]),
        ({"packages": ["foo"]}, ["foo"]),
        ({"groups": ["c"]}, ["foo", "foo44"]),
        ({"groups": ["c"], "collections": ["f43"]}, ["foo"]),
        ({"groups": ["ana/xml"], "packages": ["foo"]}, ["foo", "bar"]),
        ({"groups": ["c", "ana/xml"]}, ["foo", "bar", "foo44"]),
        ({"kinds": ["collection.state.change"], "packages": ["foo"]}, []),
    ],
)
def test_each_is_told_what_it_wants_and_nothing_else(
    database: Database, wish: dict[str, Any], expected: list[str]
) -> None:
    hook = add(database, **wish)
    happen(
        database,
        package_event("foo", groups=["c"]),
        package_event("bar", groups=["ana/xml", "z"]),
        package_event("foo44", "f44", groups=["c"]),
        package_event("lone"),
        collection_event("f43"),
        collection_event("f44"),
    )
    with database.begin() as session:
        webhook_queue.place(session)
        assert webhook_queue.waiting(session).get(hook, 0) == len(expected)
    assert told(database, hook) == expected
    with database.begin() as session:
        assert webhook_queue.due(session, NOW) == []


def test_an_event_that_is_committed_late_is_told_though_its_number_is_lower(database: Database) -> None:
    hook = add(database)
    late, written, go_on = Database(database.url), threading.Event(), threading.Event()

    def slow() -> None:
        with late.begin() as session:
            session.execute(insert(OutboxEvent).values(**package_event("late")))
            written.set()
            go_on.wait(30)

    thread = threading.Thread(target=slow)
    thread.start()
    assert written.wait(30)
    happens_to(database, "early")
    with database.begin() as session:
        assert session.scalars(select(OutboxEvent.id)).one() > 1
    assert told(database, hook) == ["early"]
    go_on.set()
    thread.join()
    late.dispose()
    assert told(database, hook) == ["late"]


def test_several_processes_may_order_events_at_once(database: Database) -> None:
    hook = add(database)
    others = [Database(database.url) for _ in range(4)]

    def work(other: Database, number: int) -> None:
        for count in range(25):
            happens_to(other, f"{number}-{count:02}")
            with other.begin() as session:
                webhook_queue.place(session)

    threads = [threading.Thread(target=work, args=(other, number)) for number, other in enumerate(others)]
    for thread in threads:
        thread.start()
    seen = []
    while any(thread.is_alive() for thread in threads):
        seen += told(database, hook)
    seen += told(database, hook)
    assert len(seen) == 100
    for number in range(4):
        assert [name for name in seen if name.startswith(f"{number}-")] == [f"{number}-{n:02}" for n in range(25)]
    for other in others:
        other.dispose()


# --- what becomes of attempts


def attempt(database: Database, hook: int, answer: Answer, now: datetime) -> Outcome | None:
    job = take(database, hook, now)
    assert job is not None
    return record(database, job, answer, now)


def test_a_failed_delivery_is_made_again_with_the_same_id_after_a_growing_while(database: Database) -> None:
    hook = add(database)
    happens_to(database, "foo", "bar")
    now, waits, ids = NOW, [], set()
    for _ in range(14):
        job = take(database, hook, now)
        assert job is not None
        ids.add(job.message_id)
        assert record(database, job, NOT_OK, now) is Outcome.FAILED
        again = row(database).next_attempt
        assert again is not None
        assert take(database, hook, again - timedelta(seconds=1)) is None
        waits.append((again - now).total_seconds())
        now = again
    assert len(ids) == 1
    for number, wait in enumerate(waits):
        assert min(10 * 2**number * 0.75, 3600) <= wait <= min(10 * 2**number * 1.25, 3600)
    assert waits[-1] == 3600
    assert (row(database).failures, row(database).failing_since) == (14, NOW)
    assert attempt(database, hook, OK, now) is Outcome.DELIVERED
    assert (row(database).failures, row(database).failing_since, row(database).next_attempt) == (0, None, None)
    following = take(database, hook, now)
    assert following is not None
    assert following.body["name"] == "bar"


@pytest.mark.parametrize(("asked", "least", "most"), [("600", 600, 600), ("1", 7.5, 12.5), ("9999999", 86400, 86400)])
def test_nobody_is_asked_again_before_they_want_to_be(
    database: Database, asked: str, least: float, most: float
) -> None:
    hook = add(database)
    happens_to(database, "foo")
    attempt(database, hook, Answer(0.1, 503, "HTTP status 503", asked), NOW)
    again = row(database).next_attempt
    assert again is not None
    assert least <= (again - NOW).total_seconds() <= most


def test_a_receiver_that_is_gone_is_told_nothing_more(database: Database) -> None:
    hook = add(database)
    happens_to(database, "foo")
    assert attempt(database, hook, Answer(0.1, 410, "HTTP status 410"), NOW) is Outcome.DISABLED
    assert take(database, hook, NOW + timedelta(days=9)) is None
    with database.begin() as session:
        summary, _ = webhooks.detail(session, "hook")
    assert (summary.health, summary.by_itself, summary.since, summary.waiting) == (Health.DISABLED, True, NOW, 1)
    assert "gone for good (HTTP status 410)" in summary.remarks


def test_days_of_failures_disable_a_webhook_with_the_reason(database: Database) -> None:
    hook = add(database)
    happens_to(database, "foo")
    hours = [0, 1, 50, 71.9]
    assert {attempt(database, hook, NOT_OK, NOW + timedelta(hours=h)) for h in hours} == {Outcome.FAILED}
    assert attempt(database, hook, NOT_OK, NOW + timedelta(hours=72.5)) is Outcome.DISABLED
    with database.begin() as session:
        summary, _ = webhooks.detail(session, "hook")
    assert summary.trouble == "5 failures in a row since 2026-11-22 12:00 UTC: HTTP status 500"
    assert (summary.health, summary.by_itself) == (Health.DISABLED, True)


def test_a_few_failures_disable_nothing_however_long_we_were_away(database: Database) -> None:
    hook = add(database)
    happens_to(database, "foo")
    for days in (0, 10, 20, 30):
        assert attempt(database, hook, NOT_OK, NOW + timedelta(days=days)) is Outcome.FAILED
    assert attempt(database, hook, NOT_OK, NOW + timedelta(days=40)) is Outcome.DISABLED


def test_enabled_again_it_is_told_what_waited_or_only_what_is_new(database: Database) -> None:
    one, other = add(database, "one"), add(database, "other")
    with database.begin() as session:
        for name in ("one", "other"):
            assert webhooks.disable(session, ALICE, name, NOW) == [f"Webhook {name} disabled"]
            assert webhooks.disable(session, ALICE, name, NOW) == []
    happens_to(database, "foo", "bar")
    assert (told(database, one), told(database, other)) == ([], [])
    with database.begin() as session:
        assert webhooks.detail(session, "one")[0].remarks == "disabled since 2026-11-22 12:00 UTC: by alice"
        assert webhooks.skip(session, ALICE, "other") == ["Webhook other: 2 events that waited will not be delivered"]
        for name in ("one", "other"):
            assert webhooks.enable(session, ALICE, name) == [f"Webhook {name} enabled"]
            assert webhooks.enable(session, ALICE, name) == []
    happens_to(database, "new")
    assert (told(database, one), told(database, other)) == (["foo", "bar", "new"], ["new"])


def test_a_failure_that_is_over_already_troubles_nobody(database: Database) -> None:
    hook = add(database)
    for change in (
        lambda session: webhooks.edit(session, ALICE, CONFIG, "hook", Wish(url="https://new.example.org/")),
        lambda session: webhooks.skip(session, ALICE, "hook"),
        lambda session: webhooks.disable(session, ALICE, "hook", NOW),
    ):
        happens_to(database, "foo")
        job = take(database, hook)
        assert job is not None
        with database.begin() as session:
            assert change(session)
        assert record(database, job, NOT_OK) is Outcome.FAILED
        assert (row(database).failures, row(database).next_attempt) == (0, None)


def test_only_the_last_deliveries_are_kept(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_queue, "DELIVERIES_KEPT", 3)
    other, hook = add(database, "other"), add(database)
    happens_to(database, *"abcde")
    told(database, other)
    job = take(database, hook)
    assert job is not None
    record(database, job, NOT_OK)
    with database.begin() as session:
        session.execute(update(Webhook).values(next_attempt=None))
    told(database, hook)
    with database.begin() as session:
        _, deliveries = webhooks.detail(session, "hook")
        assert [delivery.outcome for delivery in deliveries] == ["delivered"] * 3
        assert session.scalar(select(func.count()).select_from(WebhookDelivery)) == 6


# --- what is posted


def test_an_event_is_posted_whole_and_signed_for_the_moment(database: Database) -> None:
    hook = add(database)
    happen(database, package_event("foo+bar", groups=["c"]))
    job = take(database, hook)
    assert job is not None
    post, later = (webhooks.post_of(CONFIG, job, NOW + timedelta(seconds=s)) for s in (0, 60))
    event = json.loads(post.text)
    with database.begin() as session:
        stored = session.scalars(select(OutboxEvent)).one()
    assert event == {
        "id": str(stored.message_id),
        "kind": "package.state.change",
        "time": stored.created.isoformat(),
        "url": "https://koschei.example.org/package/foo%2Bbar?collection=f43",
        "body": {**stored.body, "koji_instance": "secondary"},
    }
    timestamp = str(int(NOW.timestamp()))
    assert (post.url, post.headers["webhook-id"], post.headers["webhook-timestamp"]) == (URL, event["id"], timestamp)
    key = base64.b64decode(row(database).secret.removeprefix("whsec_"))
    signed = f"{event['id']}.{timestamp}.".encode() + post.text
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert post.headers["webhook-signature"] == f"v1,{expected}"
    assert later.text == post.text
    assert later.headers["webhook-signature"] != post.headers["webhook-signature"]


def test_a_signature_is_that_of_the_published_scheme() -> None:
    """The example of the standard-webhooks reference libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    text = b'{"test": 2432232314}'
    found = message.signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, text)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    with pytest.raises(EventError, match="rotate-secret"):
        message.signature("whsec_!", "1", 1, b"")


def test_for_a_day_after_a_rotation_both_secrets_sign(database: Database) -> None:
    add(database)
    before = row(database).secret
    with database.begin() as session:
        _, after = webhooks.rotate_secret(session, ALICE, "hook", NOW)
    hook = row(database)
    assert webhook_queue.secrets(hook, NOW + timedelta(hours=23)) == (after, before)
    assert webhook_queue.secrets(hook, NOW + timedelta(hours=25)) == (after,)


def test_an_event_of_a_collection_has_its_page_and_without_a_site_nothing_has() -> None:
    body = collection_event("f43")["body"]
    assert message.address("collection.state.change", body, SITE) == "https://koschei.example.org/collection/f43"
    assert message.address("ping", {}, SITE) == "https://koschei.example.org"
    assert message.address("collection.state.change", body, None) is None


# --- retention


@pytest.mark.parametrize("done", ["sent", "skipped"])
def test_events_stay_until_every_enabled_webhook_is_told(database: Database, done: str) -> None:
    hook, other = add(database), add(database, "other")
    happens_to(database, "foo", "bar")
    with database.begin() as session:
        session.execute(update(OutboxEvent).values({done: NOW, "created": NOW}))
    steps = retention.policy_steps(RetentionConfig(), NOW + timedelta(days=365))

    def left() -> int | None:
        retention.carry_out(database, ALICE, "Retention", steps, batch=10, progress=lambda *_: None)
        with database.begin() as session:
            return session.scalar(text("SELECT count(*) FROM outbox_event"))

    assert left() == 2
    assert told(database, hook) == ["foo", "bar"]
    assert left() == 2
    job = take(database, other)
    assert job is not None
    record(database, job, OK)
    assert left() == 1
    with database.begin() as session:
        webhooks.disable(session, ALICE, "other", NOW)
    assert left() == 0
