"""What people may do to a package on its page."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from koschei.db.engine import Database
from koschei.model import (
    GroupACL,
    LogEntry,
    Package,
    PackageGroup,
    PackageGroupRelation,
    User,
)
from tests.frontend.persons import Visitor
from tests.world import NOW, filling

Login = Callable[..., Visitor]


@pytest.fixture
def login(client: FlaskClient, database: Database) -> Login:
    """Make a world with a package, and log somebody in."""
    with filling(database) as world:
        collection = world.collection("f43")
        package = world.package("bash", collection)
        world.build(package, hours=30)
        world.package("zsh", collection, tracked=False)
        core = PackageGroup(name="core")
        own = PackageGroup(namespace="jane", name="shells")
        maintainer, jane = User(name="maintainer"), User(name="jane")
        world.session.add_all([core, own, maintainer, jane])
        world.session.flush()
        world.session.add_all(
            [
                GroupACL(group_id=core.id, user_id=maintainer.id),
                GroupACL(group_id=own.id, user_id=jane.id),
                PackageGroupRelation(group_id=core.id, base_id=package.base_id),
                PackageGroupRelation(group_id=own.id, base_id=package.base_id),
            ]
        )
    return lambda name=None, **options: Visitor(client, database, name, **options)


def stored(database: Database, name: str = "bash") -> Package:
    with database.read() as session:
        found = session.scalars(select(Package).where(Package.name == name)).one()
        session.expunge(found)
    return found


def log(database: Database) -> list[str]:
    with database.read() as session:
        return [m for m in session.scalars(select(LogEntry.message).order_by(LogEntry.id)) if "registered" not in m]


def test_anybody_logged_in_sets_the_manual_priority_and_has_packages_tested(login: Login, database: Database) -> None:
    jack = login("jack")
    answer = jack.post("/package/bash/edit", {"manual_priority": "500"})
    assert (answer.status_code, answer.location) == (303, "/package/bash?collection=f43")
    assert jack.flashes() == ["Package modified"]
    assert stored(database).manual_priority == 500
    jack.post("/package/zsh/edit", {"tracked": "y", "tracked__present": "1"})
    assert stored(database, "zsh").tracked
    assert log(database) == [
        "Package bash in f43: manual priority changed from 0 to 500",
        "Package zsh in f43: tracked",
    ]


@pytest.mark.parametrize("value", ["-1", "10001", "many", "99999999999999999999", "1e3"])
def test_a_manual_priority_out_of_bounds_is_refused_beside_the_field(
    login: Login, database: Database, value: str
) -> None:
    answer = login("jack").post("/package/bash/edit", {"manual_priority": value})
    assert answer.status_code == 422
    assert f'value="{value}"' in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert stored(database).manual_priority == 0
    assert log(database) == []


@pytest.mark.parametrize(
    "form",
    [
        {"static_priority": "100"},
        {"arch_override": "x86_64"},
        {"tracked__present": "1"},
        {"skip_resolution": "y", "skip_resolution__present": "1"},
        {"manual_priority": "5", "skip_resolution": "y", "skip_resolution__present": "1"},
    ],
)
def test_the_rest_is_for_others(login: Login, database: Database, form: dict[str, str]) -> None:
    before = stored(database)
    answer = login("jane").post("/package/bash/edit", form)  # she maintains a group of her own with it: that is nothing
    assert (answer.status_code, "Nothing was changed" in answer.text) == (403, True)
    after = stored(database)
    names = ("manual_priority", "static_priority", "arch_override", "tracked", "skip_resolution")
    assert [getattr(after, name) for name in names] == [getattr(before, name) for name in names]
    assert log(database) == []


def test_maintainers_decide_about_tracking_architectures_and_resolution(login: Login, database: Database) -> None:
    maintainer = login("maintainer")
    maintainer.post("/package/bash/edit", {"arch_override": " ^i386,  armhfp "})
    assert stored(database).arch_override == "^i386 armhfp"
    maintainer.post("/package/bash/edit", {"manual_priority": "7"})
    assert stored(database).arch_override == "^i386 armhfp"  # a form without the field leaves it alone
    maintainer.post("/package/bash/edit", {"arch_override": ""})
    assert stored(database).arch_override is None
    maintainer.post("/package/bash/edit", {"skip_resolution": "y", "skip_resolution__present": "1"})
    assert stored(database).skip_resolution
    maintainer.post("/package/bash/edit", {"manual_priority": "8"})
    assert stored(database).skip_resolution
    maintainer.post("/package/bash/edit", {"tracked__present": "1"})
    assert not stored(database).tracked
    assert maintainer.post("/package/bash/edit", {"static_priority": "1"}).status_code == 403


def as_shown(visitor: Visitor, name: str = "bash") -> dict[str, str]:
    """What the browser sends when somebody saves the settings as the page shows them."""
    form = visitor.get(f"/package/{name}").text.split(f'action="/package/{name}/edit')[1].split("</form>")[0]
    sent = {}
    for tag in re.findall(r"<input [^>]*>", form):
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        left_out = " disabled" in tag or (attributes["type"] == "checkbox" and " checked" not in tag)
        if not left_out:
            sent[attributes["name"]] = html.unescape(attributes["value"])
    return {field: value for field, value in sent.items() if field != "csrf_token"}


def change(database: Database, name: str, **values: object) -> None:
    with database.begin() as session:
        session.execute(update(Package).where(Package.name == name).values(**values))


def test_a_setting_that_nobody_touched_stays_as_it_has_become_meanwhile(login: Login, database: Database) -> None:
    change(database, "bash", manual_priority=500, arch_override="^i386")
    maintainer = login("maintainer")
    sent = as_shown(maintainer)
    assert (sent["manual_priority"], sent["arch_override"]) == ("500", "^i386")
    change(database, "bash", manual_priority=0, arch_override=None, skip_resolution=True, resolved=None)
    maintainer.post("/package/bash/edit", sent)
    assert maintainer.flashes() == ["Nothing was changed: it is like that already"]
    maintainer.post("/package/bash/edit", {**sent, "arch_override": "x86_64"})
    row = stored(database)
    assert (row.manual_priority, row.arch_override, row.skip_resolution) == (0, "x86_64", True)


def test_a_page_from_before_a_package_was_tracked_does_not_untrack_it(login: Login, database: Database) -> None:
    jack = login("jack")
    sent = as_shown(jack, "zsh")
    assert "tracked" not in sent
    change(database, "zsh", tracked=True)
    assert jack.post("/package/zsh/edit", {**sent, "manual_priority": "7"}).status_code == 303
    row = stored(database, "zsh")
    assert (row.tracked, row.manual_priority) == (True, 7)
    root = login("root", admin=True)
    root.post("/package/zsh/edit", {**sent, "static_priority": "5"})
    assert stored(database, "zsh").tracked
    root.post("/package/zsh/edit", {name: word for name, word in as_shown(root, "zsh").items() if name != "tracked"})
    assert not stored(database, "zsh").tracked


def test_a_form_with_a_mistake_comes_back_with_what_was_touched_and_what_is_stored(
    login: Login, database: Database
) -> None:
    maintainer = login("maintainer")
    sent = as_shown(maintainer)
    change(database, "bash", manual_priority=300)
    answer = maintainer.post("/package/bash/edit", {**sent, "arch_override": "z80"})
    assert answer.status_code == 422
    for field, value in {"arch_override": "z80", "was_arch_override": "", "manual_priority": "300"}.items():
        assert re.search(f'name="{field}"[^>]* value="{value}"', answer.text), field
    assert 'name="was_manual_priority" value="300"' in answer.text


def test_a_manual_priority_above_the_bound_is_shown_to_others_and_no_field_of_theirs(
    login: Login, database: Database
) -> None:
    change(database, "bash", manual_priority=20000)
    maintainer = login("maintainer")
    sent = as_shown(maintainer)
    assert "manual_priority" not in sent
    maintainer.post("/package/bash/edit", {**sent, "arch_override": "x86_64"})
    row = stored(database)
    assert (row.manual_priority, row.arch_override) == (20000, "x86_64")
    assert as_shown(login("root", admin=True))["manual_priority"] == "20000"


def test_an_architecture_that_is_not_known_is_named_and_nothing_is_changed(login: Login, database: Database) -> None:
    answer = login("maintainer").post("/package/bash/edit", {"arch_override": "z80", "manual_priority": "9"})
    assert answer.status_code == 422
    assert "z80" in answer.text
    assert 'value="9"' in answer.text
    assert stored(database).manual_priority == 0


def test_administrators_set_static_priorities_of_any_size(login: Login, database: Database) -> None:
    admin = login("root", admin=True)
    admin.post("/package/bash/edit", {"static_priority": "-30", "manual_priority": "70000"})
    assert (stored(database).static_priority, stored(database).manual_priority) == (-30, 70000)
    assert admin.post("/package/bash/edit", {"static_priority": str(2**40)}).status_code == 422


@pytest.mark.parametrize("field", ["manual_priority", "static_priority"])
@pytest.mark.parametrize(("value", "words"), [("99999999999", "out of range"), ("many", "Not a valid integer value")])
def test_a_mistake_is_said_beside_the_field_that_has_it_and_nowhere_else(
    login: Login, field: str, value: str, words: str
) -> None:
    answer = login("root", admin=True).post("/package/bash/edit", {field: value, "arch_override": "x86_64"})
    assert answer.status_code == 422
    told = re.findall(r'<p class="error" id="([^"]*)-error">([^<]*)</p>', answer.text)
    assert [(name, words in text) for name, text in told] == [(field, True)]
    assert f'value="{value}"' in answer.text


@pytest.mark.parametrize("field", ["manual_priority", "static_priority"])
def test_an_emptied_priority_is_none(login: Login, database: Database, field: str) -> None:
    root = login("root", admin=True)
    root.post("/package/bash/edit", {"manual_priority": "50", "static_priority": "50"})
    root.post("/package/bash/edit", {field: " "})
    assert root.flashes() == ["Package modified"]
    row = stored(database)
    assert {row.manual_priority, row.static_priority} == {0, 50}
    assert getattr(row, field) == 0


def test_what_one_may_not_change_is_shown_as_it_is_beside_a_mistake(login: Login, database: Database) -> None:
    login("root", admin=True).post("/package/bash/edit", {"static_priority": "77", "arch_override": "x86_64"})
    page = login("jack").post("/package/bash/edit", {"manual_priority": "many"}).text
    assert re.search(r'name="static_priority"[^>]* value="77"', page)
    assert re.search(r'name="arch_override"[^>]* value="x86_64"', page)
    assert re.search(r'<input[^>]* checked[^>]* name="tracked"', page)


def test_a_form_that_changes_nothing_says_so(login: Login, database: Database) -> None:
    jack = login("jack")
    jack.post("/package/bash/edit", {"manual_priority": "0", "tracked": "y", "tracked__present": "1"})
    assert jack.flashes() == ["Nothing was changed: it is like that already"]
    assert log(database) == []


def test_a_manual_priority_that_administrators_set_above_the_bound_stays(login: Login, database: Database) -> None:
    login("root", admin=True).post("/package/bash/edit", {"manual_priority": "20000"})
    answer = login("maintainer").post("/package/bash/edit", {"manual_priority": "500"})
    assert answer.status_code == 422
    assert "People who administer Koschei have set it to 20000, above 10000" in answer.text
    assert stored(database).manual_priority == 20000
    login("root", admin=True).post("/package/bash/edit", {"manual_priority": "10000"})
    login("maintainer").post("/package/bash/edit", {"manual_priority": "500"})
    assert stored(database).manual_priority == 500


def test_what_was_put_off_is_not_rebuilt_with_a_click(login: Login, database: Database) -> None:
    login("root", admin=True).post("/package/bash/edit", {"static_priority": "-50000"})
    jack = login("jack")
    assert jack.post("/package/bash/rebuild").status_code == 303
    assert "Its static priority of -50000 puts it off: ask people who administer Koschei" in jack.flashes()[-1]
    assert stored(database).manual_priority == 0
    root = login("root", admin=True)
    assert root.post("/package/bash/rebuild").status_code == 303
    assert stored(database).manual_priority > 50000


def test_rebuild_now_makes_it_the_first_to_be_built(login: Login, database: Database) -> None:
    jack = login("jack")
    assert jack.post("/package/bash/rebuild").status_code == 303
    assert jack.flashes() == ["It is built next, as soon as Koji's load and the limits allow"]
    assert stored(database).manual_priority > 256
    assert "Package bash in f43: rebuild requested, manual priority changed from 0 to" in log(database)[0]


@pytest.mark.parametrize(
    ("button", "words"),
    [
        ("/package/bash/rebuild", "is among the first to be built already"),
        ("/package/zsh/rebuild", "cannot be built now"),
        ("/package/zsh/resolve", "it is not tracked"),
    ],
)
def test_a_button_that_is_refused_leads_back_to_its_page_which_says_why(
    login: Login, database: Database, button: str, words: str
) -> None:
    jack = login("jack")
    jack.post("/package/bash/rebuild")
    jack.flashes()
    before = log(database)
    answer = jack.post(button)
    page = f"{button.rpartition('/')[0]}?collection=f43"
    assert (answer.status_code, answer.location) == (303, page)
    notice = re.search(r'<div class="notice danger" role="status">.*?</div>', jack.get(page).text)
    assert notice
    assert words in notice[0]
    assert log(database) == before


def test_rebuild_now_can_be_pressed_when_nothing_on_the_checklist_forbids_it(login: Login) -> None:
    jack = login("jack")
    button = re.compile(r'action="/package/[a-z]+/rebuild".*?<button([^>]*)>Rebuild now')
    assert button.findall(jack.get("/package/bash").text) == [""]
    page = jack.get("/package/zsh").text
    assert button.findall(page) == [' disabled aria-describedby="hindrances"']
    assert "not tracked" in page.split('id="hindrances"')[1].split("</ul>")[0]


def test_resolve_now_asks_the_resolver(login: Login, database: Database) -> None:
    with database.begin() as session:
        session.scalars(select(Package).where(Package.name == "bash")).one().needs_resolution = False
    jack = login("jack")
    assert jack.post("/package/bash/resolve").status_code == 303
    assert stored(database).needs_resolution
    assert log(database) == ["Package bash in f43: resolution requested"]


def test_groups_are_changed_by_those_who_maintain_them(login: Login, database: Database) -> None:
    def members() -> set[str]:
        with database.read() as session:
            query = select(PackageGroup).join(PackageGroupRelation, PackageGroupRelation.group_id == PackageGroup.id)
            return {group.full_name for group in session.scalars(query)}

    with database.read() as session:
        ids = {group.name: group.id for group in session.scalars(select(PackageGroup))}
    jane = login("jane")
    page = jane.get("/package/bash").text
    assert f'name="group-{ids["shells"]}" value="1" checked' in page
    assert f'name="group-{ids["core"]}"' not in page
    jane.post("/package/bash/groups", {f"group-prev-{ids['shells']}": "true"})
    assert members() == {"core"}
    refused = jane.post("/package/bash/groups", {f"group-prev-{ids['core']}": "true"})
    assert (refused.status_code, members()) == (403, {"core"})
    jane.post("/package/bash/groups", {f"group-prev-{ids['shells']}": "false", f"group-{ids['shells']}": "1"})
    jane.post("/package/bash/groups", {"group-prev-987654": "true"})
    assert jane.post("/package/bash/groups", {"group-prev-x": "true"}).status_code == 400
    assert members() == {"core", "jane/shells"}
    assert log(database) == [
        "Group jane/shells: packages removed: bash",
        "Group jane/shells: packages added: bash",
    ]


def test_the_form_names_its_collection(login: Login, database: Database) -> None:
    with filling(database) as world:
        other = world.collection("f44")
        world.package("bash", other)
        number = other.id
    login("jack").post("/package/bash/edit", {"collection_id": str(number), "manual_priority": "3"})
    with database.read() as session:
        query = select(Package.manual_priority).where(Package.collection_id == number)
        assert session.scalars(query).one() == 3
    for word in ("0", "x", "99999999999999999999999", "1 OR 1=1"):
        assert login("jack").post("/package/bash/edit", {"collection_id": word}).status_code == 400
    assert login("jack").post("/package/fish/edit", {"manual_priority": "3"}).status_code == 404


def test_changes_are_limited_by_the_hour_and_nothing_of_what_is_too_much_happens(
    login: Login, database: Database
) -> None:
    jack = login("jack")
    with database.begin() as session:
        user = session.scalars(select(User).where(User.name == "jack")).one()
        user.edits_left, user.edits_at = 1.5, NOW
    assert jack.post("/package/bash/edit", {"manual_priority": "1"}).status_code == 303
    answer = jack.post("/package/bash/edit", {"manual_priority": "2"})
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "15"
    assert "try again in 1 minute" in answer.text
    assert stored(database).manual_priority == 1
    assert login("root", admin=True).post("/package/bash/edit", {"manual_priority": "2"}).status_code == 303


def test_a_page_shows_its_forms_to_those_who_are_logged_in(login: Login) -> None:
    page = login().get("/package/bash").text
    assert "Change settings" not in page
    assert 'href="/login?next=/package/bash?collection%3Df43"' in page
    page = login("jack").get("/package/bash").text
    assert "Rebuild now" in page
    assert 'name="static_priority" ' in page
    assert page.count("disabled") >= 3
