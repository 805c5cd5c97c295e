"""`/groups`, `/groups/<name>`, `/groups/<namespace>/<name>` and `/user/<name>`: how ours are, what is broken first."""

from __future__ import annotations

from flask import Blueprint, render_template, request, url_for

from frontend import context, package_list, people
from koschei.errors import InvalidInputError, NotFoundError
from koschei.queries import groups, maintainers
from koschei.queries.groups import Wanted, Whose
from koschei.queries.packages import SortBy
from koschei.queries.paging import ByName

blueprint = Blueprint("groups", __name__)

GROUPS_PER_PAGE = 30
GROUPS_OF_ONE = 200
LONGEST_TERM = 200


@blueprint.get("/groups")
def listing() -> str:
    """All groups, with their packages' states in each collection; in front those of the person who asks."""
    session, choice, person, cursor = context.session(), context.choice(), people.person(), _cursor()
    wanted = Wanted(_whose(), request.args.get("q", "").strip()[:LONGEST_TERM])
    page = groups.page(session, wanted, cursor, GROUPS_PER_PAGE)
    whole = person is not None and cursor is None and wanted == Wanted()
    mine = groups.of_user(session, person.name, GROUPS_OF_ONE) if person and whole else []
    ids = {group.id for group in mine}
    others = [group for group in page.groups if group.id not in ids]
    lines = {line.group.id: line for line in groups.lines(session, [*mine, *others], [c.id for c in choice.chosen])}
    return render_template(
        "groups.html",
        around=context.surroundings(),
        wanted=wanted,
        Whose=Whose,
        address=_address,
        count=groups.count(session, wanted),
        mine=[lines[group.id] for group in mine],
        lines=[lines[group.id] for group in page.groups],
        before=_page_url(wanted, page.before),
        after=_page_url(wanted, page.after),
    )


@blueprint.get("/groups/<name>")
def detail(name: str) -> str:
    """A global group."""
    return _group(name, {"name": name}, "groups.detail")


@blueprint.get("/groups/<namespace>/<name>")
def of_namespace(namespace: str, name: str) -> str:
    """A user's group."""
    return _group(f"{namespace}/{name}", {"namespace": namespace, "name": name}, "groups.of_namespace")


@blueprint.get("/user/<name>")
def user(name: str) -> str:
    """What somebody maintains: packages, and groups of them."""
    session, choice = context.session(), context.choice()
    place = package_list.Place("groups.user", {"name": name}, SortBy.STATE)
    states = maintainers.states(session, name, [c.id for c in choice.chosen])
    return render_template(
        "user.html",
        around=context.surroundings(),
        name=name,
        said=maintainers.said_of(session, name),
        states=states,
        groups=maintainers.groups_of(session, name, GROUPS_OF_ONE),
        listing=package_list.listed(package_list.read_filters(place), user=name, tracked=states.packages),
    )


def _group(full_name: str, values: dict[str, str], endpoint: str) -> str:
    session, choice = context.session(), context.choice()
    group = groups.find(session, full_name)
    if group is None:
        raise NotFoundError(f"There is no group “{full_name}”. It may have been renamed or deleted.")
    place = package_list.Place(endpoint, values, SortBy.STATE)
    line = groups.lines(session, [group], [c.id for c in choice.chosen])[0]
    return render_template(
        "group.html",
        around=context.surroundings(),
        line=line,
        listing=package_list.listed(package_list.read_filters(place), [group.id], tracked=line.tracked),
    )


def _whose() -> Whose:
    word = request.args.get("of", "") or Whose.ALL
    try:
        return Whose(word)
    except ValueError:
        raise InvalidInputError(f"“{word}” names no kind of group: of is one of {', '.join(Whose)}") from None


def _cursor() -> ByName | None:
    back = "before" in request.args
    name = request.args.get("before" if back else "after")
    return None if name is None else ByName(name, back)


def _address(wanted: Wanted, **changes: object) -> str:
    """The address of the list of groups that fit, from its beginning."""
    asked = {"of": None if wanted.whose is Whose.ALL else wanted.whose, "q": wanted.text or None}
    return url_for("groups.listing", **{**asked, **changes})  # type: ignore[arg-type]


def _page_url(wanted: Wanted, cursor: ByName | None) -> str | None:
    return None if cursor is None else _address(wanted, **{"before" if cursor.back else "after": cursor.name})
