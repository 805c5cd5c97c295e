"""The checklist on a package's page: it claims and promises only what is known."""

from __future__ import annotations

import re

from flask.testing import FlaskClient

from koschei.db.engine import Database
from koschei.rules.states import SkipReason
from tests.world import ago, filling

PROMISE = "the repo-resolver does that without waiting"


def words(client: FlaskClient, name: str) -> str:
    """The card about the next build, without tags."""
    page = client.get(f"/package/{name}").text
    card = page[page.index('id="next"') :]
    return " ".join(re.sub(r"<[^>]*>", " ", card[: card.index("</section>")]).split())


def test_what_nobody_looks_at_is_neither_ticked_nor_promised(client: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        home = world.collection("f44", "Fedora Rawhide")
        world.package("unbuilt", home, resolved=None, needs_resolution=True)
        world.build(world.package("untracked", home, tracked=False, resolved=None, needs_resolution=True))
        world.build(world.package("fresh", home, resolved=None, needs_resolution=True))
    for name, remedy in (
        ("unbuilt", "Looked at once a build of it is known"),
        ("untracked", "Looked at once it is tracked"),
        ("fresh", "The resolver will look at them shortly"),
    ):
        seen = words(client, name)
        assert f"No: Package dependencies were not resolved yet {remedy}" in seen
        assert "Its build dependencies can be installed" not in seen
        assert (PROMISE in seen) is (name == "fresh")


def test_a_wait_is_said_to_be_for_what_it_is_for(client: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        home = world.collection("f44", "Fedora Rawhide")
        waits = {"retry_after": ago(-1000)}
        world.build(world.package("spoiled", home, **waits))
        world.build(world.package("untold", home, scheduler_skip_reason=SkipReason.NOT_TOLD, **waits))
        world.build(world.package("noarch", home, scheduler_skip_reason=SkipReason.NO_ARCH, **waits))
    assert "Koji spoiled the last build; the next one is not before" in words(client, "spoiled")
    assert "Koji did not tell what is needed to build it; it is not asked again before" in words(client, "untold")
    assert "No: No build architecture allowed for SRPM" in words(client, "noarch")
    assert not any("spoiled" in words(client, name) for name in ("untold", "noarch"))
