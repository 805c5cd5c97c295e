"""`/add-group`, `/groups/.../edit` and `/groups/.../delete`: groups are made, changed and deleted by those who may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from wtforms import BooleanField, Field, StringField
from wtforms.validators import ValidationError
from wtforms.widgets import HiddenInput

from frontend import access, again, context, editing, forms
from frontend.access import Role, needs
from frontend.filters import plural
from frontend.forms import Names, NamesField
from koschei import groups, rights
from koschei.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from koschei.groups import NAME, GroupContent, GroupEdit
from koschei.rules.names import LONGEST_NAME, listed

blueprint = Blueprint("group_forms", __name__)

BOTH = ["GET", "POST"]
NOT_SAVED = 422
PLAIN = {"spellcheck": "false", "autocapitalize": "off"}
LONG = {**PLAIN, "rows": 14}
CONFLICT = 409


class Vanished(NotFoundError):  # noqa: N818 - it is no mistake of anybody's
    """The group is not there, or not any more."""


class Meanwhile(Exception):  # noqa: N818
    """Somebody else changed the group since the form was made; `now` is how it is."""

    def __init__(self, now: GroupContent) -> None:
        self.now = now


class HiddenNames(NamesField):
    """Names that the form was made from."""

    widget = HiddenInput()


def one_name(_form: forms.Form, field: Field) -> None:
    """Raises ValidationError for what cannot name a group."""
    if not NAME.fullmatch(field.data or "") or len(field.data) > LONGEST_NAME:
        raise ValidationError("Invalid group name: it consists of letters, digits and . + _ -")


class GroupForm(forms.Form):
    """What a group is; `was_…`: what it was when the form was made."""

    name = StringField("Name", [one_name], render_kw=PLAIN)
    shared = BooleanField("Global")
    owners = NamesField("Maintainers", [Names("owner list", "Group must have an owner")], render_kw=PLAIN)
    packages = NamesField("Packages", [Names("package list", "Empty group not allowed")], render_kw=LONG)
    was_owners = HiddenNames()
    was_packages = HiddenNames()


@dataclass(frozen=True)
class Difference:
    """What somebody else did to a list of names."""

    what: str
    added: Sequence[str]
    removed: Sequence[str]


@blueprint.route("/add-group", methods=BOTH)
@needs(Role.USER)
@again.on_its_page(lambda: _page(GroupForm()))
def add() -> ResponseReturnValue:
    """Make a group in one's own namespace; those who administer can make a global one. The address may fill it in."""
    person = editing.someone()
    if request.method == "GET":
        given = {name: request.args.get(name, "") for name in ("name", "packages")}
        form = GroupForm(formdata=None, data={**given, "owners": person.name})
        return _page(form)
    form = GroupForm()
    if not form.validate():
        return _page(form, NOT_SAVED)
    full_name = form.name.data if form.shared.data and person.admin else f"{person.name}/{form.name.data}"
    try:
        with editing.edit() as session:
            groups.create(session, editing.actor(), full_name, form.packages.names, form.owners.names)
    except (AlreadyExistsError, InvalidInputError, NotFoundError) as error:
        return _refused(form, error)
    return _done(f"Group created with {plural(len(form.packages.names), 'package')}.", full_name)


@blueprint.route("/groups/<name>/edit", methods=BOTH)
@blueprint.route("/groups/<namespace>/<name>/edit", methods=BOTH)
@needs(Role.MAINTAINER)
@again.on_its_page(lambda **of: _page(GroupForm(), group=_editable(context.session(), _full_name(**of))))
def edit(name: str, namespace: str | None = None) -> ResponseReturnValue:
    """Change a group. What somebody else changed since the form was made is shown, and not undone."""
    full_name = _full_name(name, namespace)
    before = _editable(context.session(), full_name)
    if request.method == "GET":
        return _page(GroupForm(formdata=None, data=_content(before, before.packages, before.maintainers)), group=before)
    form = GroupForm()
    if not form.validate():
        return _page(form, NOT_SAVED, before)
    after = f"{namespace}/{form.name.data}" if namespace else form.name.data
    wish = GroupEdit(name=form.name.data, packages=form.packages.names, maintainers=form.owners.names)
    try:
        with editing.edit() as session:
            now = _editable(session, full_name, lock=True)
            if _differences(form, now):
                raise Meanwhile(now)
            messages = groups.edit(session, editing.actor(), full_name, wish)
    except Vanished:
        raise
    except Meanwhile as found:
        return _ask_again(form, found.now)
    except (AlreadyExistsError, InvalidInputError, NotFoundError) as error:
        return _refused(form, error, before)
    if not messages:
        return _done("Nothing was changed: it is like that already.", after)
    added, removed = (len(names) for names in _compared(now.packages, form.packages.names))
    words = f"{plural(added, 'package')} added, {removed} removed; it has {plural(len(form.packages.names), 'package')}"
    return _done(f"Group modified: {words}.", after)


@blueprint.route("/groups/<name>/delete", methods=BOTH)
@blueprint.route("/groups/<namespace>/<name>/delete", methods=BOTH)
@needs(Role.MAINTAINER)
def delete(name: str, namespace: str | None = None) -> ResponseReturnValue:
    """Say what deleting a group means; the form of that page does it."""
    full_name = _full_name(name, namespace)
    group = _editable(context.session(), full_name)
    if request.method == "GET":
        return render_template("group_delete.html", around=context.surroundings(), group=group)
    with editing.edit() as session:
        _editable(session, full_name, lock=True)
        groups.remove(session, editing.actor(), full_name)
    return editing.done(f"Group {full_name} deleted.", "groups.listing")


def _full_name(name: str, namespace: str | None = None) -> str:
    return f"{namespace}/{name}" if namespace else name


def _editable(session: Session, full_name: str, *, lock: bool = False) -> GroupContent:
    """The group as it is. Errors: Vanished, and NotAllowedError for a person who may not edit it."""
    try:
        group = groups.find(session, full_name, lock=lock)
    except NotFoundError as error:
        raise Vanished(f"There is no group “{full_name}”. It may have been renamed or deleted.") from error
    person = editing.someone()
    if not rights.may_edit_group(session, group.id, person):
        access.refuse(
            f"Only the maintainers of the group {full_name}, and people who administer Koschei, may change it. "
            "You are logged in, but not one of them."
        )
    return groups.content(session, group)


def _content(group: GroupContent, packages: Sequence[str], owners: Sequence[str]) -> dict[str, str]:
    """The fields of the form for a group, with this content."""
    return {
        "name": group.name.rpartition("/")[2],
        "owners": "\n".join(owners),
        "packages": "\n".join(packages),
        "was_owners": " ".join(group.maintainers),
        "was_packages": " ".join(group.packages),
    }


def _compared(before: Sequence[str], after: Sequence[str]) -> tuple[list[str], list[str]]:
    """What was added, and what is gone."""
    return sorted(set(after) - set(before)), sorted(set(before) - set(after))


def _differences(form: GroupForm, now: GroupContent) -> list[Difference]:
    """What changed since the form was made."""
    pairs = (
        ("packages", form.was_packages.names, now.packages),
        ("maintainers", form.was_owners.names, now.maintainers),
    )
    found = [Difference(what, *_compared(was, names)) for what, was, names in pairs]
    return [difference for difference in found if difference.added or difference.removed]


def _ask_again(form: GroupForm, now: GroupContent) -> ResponseReturnValue:
    """The form with both persons' changes in it."""
    differences = _differences(form, now)
    packages = _merged(form.was_packages.names, form.packages.names, now.packages)
    owners = _merged(form.was_owners.names, form.owners.names, now.maintainers)
    name = form.name.data
    for field, text in _content(now, packages, owners).items():
        form[field].data = text
    form.name.data = name
    return _page(form, CONFLICT, now, differences)


def _merged(was: Sequence[str], mine: Sequence[str], theirs: Sequence[str]) -> list[str]:
    added, removed = _compared(was, mine)
    return sorted((set(theirs) | set(added)) - set(removed))


def _refused(form: GroupForm, error: Exception, group: GroupContent | None = None) -> ResponseReturnValue:
    """The form with what the operation said beside the field that it is about."""
    match error:
        case AlreadyExistsError():
            form.name.errors = ["Group already exists"]
        case NotFoundError():
            form.packages.errors = [str(error)]
        case _:
            form.name.errors = [str(error)]
    return _page(form, NOT_SAVED, group)


def _page(
    form: GroupForm, status: int = 200, group: GroupContent | None = None, meanwhile: Sequence[Difference] = ()
) -> ResponseReturnValue:
    page = render_template(
        "group_form.html",
        around=context.surroundings(),
        form=form,
        group=group,
        meanwhile=meanwhile,
        listed=listed,
    )
    return page, status


def _done(message: str, full_name: str) -> ResponseReturnValue:
    namespace, _, name = full_name.rpartition("/")
    if namespace:
        return editing.done(message, "groups.of_namespace", namespace=namespace, name=name)
    return editing.done(message, "groups.detail", name=name)
