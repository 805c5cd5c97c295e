"""`/add-packages`: have packages tested, and put them into a group."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, flash, make_response, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from wtforms import HiddenField, SelectField

from frontend import access, again, context, editing, forms
from frontend.access import Role, needs
from frontend.forms import Names, NamesField
from koschei import groups, memberships, packages, rights
from koschei.errors import InvalidInputError, NotFoundError, TooManyEditsError
from koschei.groups import GroupEdit
from koschei.model import Collection
from koschei.rules.names import listed

blueprint = Blueprint("add_packages", __name__)

NOT_SAVED = 422
LONG = {"rows": 10, "spellcheck": "false", "autocapitalize": "off"}
GROUPS_OFFERED = 200


class AddForm(forms.Form):
    """Which packages, in which collection; a group is asked for by its full name. `next`: where to go on."""

    packages = NamesField("Packages", [Names("package list", "Name the packages to add")], render_kw=LONG)
    collection = SelectField("Collection", validate_choice=False)
    group = SelectField("Put them into a group, too", validate_choice=False)
    next = HiddenField()


class GroupError(Exception):
    """The group cannot be added to; the message says why."""


@blueprint.route("/add-packages", methods=["GET", "POST"])
@needs(Role.USER)
@again.on_its_page(lambda: _page(AddForm()))
def add() -> ResponseReturnValue:
    """The form; its address may fill it in, so that a link can be sent: `packages`, `collection`, `group`, `next`."""
    if request.method == "GET":
        given = {name: request.args.get(name, "") for name in ("packages", "group", "next")}
        return _page(AddForm(formdata=None, data={**given, "collection": context.choice().chosen[0].name}))
    form = AddForm()
    known = {collection.name: collection for collection in context.choice().every}
    if not form.validate():
        return _page(form, NOT_SAVED)
    collection = known.get(form.collection.data)
    if collection is None:
        form.collection.errors = ["There is no such collection"]
        return _page(form, NOT_SAVED)
    names = form.packages.names
    try:
        with editing.uncounted() as session:
            found = packages.named(session, names, collection)
            new = [package.name for package in found if not package.tracked]
            editing.count(session, max(1, len(new)))
            blocked = [package.name for package in found if package.blocked]
            packages.track(session, editing.actor(), collection, names, now=context.now())
            _put_into_group(session, form.group.data, names)
    except GroupError as error:
        form.group.errors = [str(error)]
        return _page(form, NOT_SAVED)
    except (NotFoundError, InvalidInputError) as error:
        form.packages.errors = [str(error)]
        return _page(form, NOT_SAVED)
    except TooManyEditsError as error:
        form.packages.errors = [str(error)]
        response = make_response(_page(form, 429))
        response.headers["Retry-After"] = str(error.wait)
        return response
    flash(_told(new, blocked, collection, form.group.data), "success")
    if len(names) == 1:
        return editing.back(form.next.data, "package.detail", name=names[0], collection=collection.name)
    return editing.back(form.next.data, "packages.listing", collection=collection.name, group=form.group.data or None)


def _put_into_group(session: Session, full_name: str, names: Sequence[str]) -> None:
    """Errors: GroupError, for which the caller undoes everything."""
    if not full_name:
        return
    person = editing.someone()
    try:
        group = groups.find(session, full_name, lock=True)
    except NotFoundError as error:
        raise GroupError(f"There is no group “{full_name}”") from error
    if not rights.may_edit_group(session, group.id, person):
        raise GroupError(f"Only the maintainers of {full_name} may add to it. Nothing was changed")
    groups.edit(session, editing.actor(), full_name, GroupEdit(packages=names, append=True))


def _told(new: Sequence[str], blocked: Sequence[str], collection: Collection, group: str) -> str:
    """What was done, in words."""
    where = collection.display_name
    parts = [f"Packages added: {listed(new)}." if new else f"All of them were tracked in {where} already."]
    if group:
        parts.append(f"They are in the group {group}.")
    if blocked:
        parts.append(f"Koji blocks in {where}, so that nobody can build there: {listed(blocked)}.")
    return " ".join(parts)


def _page(form: AddForm, status: int = 200) -> ResponseReturnValue:
    person = editing.someone()
    names = [group.full_name for group in memberships.editable(context.session(), person, GROUPS_OFFERED)]
    if form.group.data and form.group.data not in names:
        names.insert(0, form.group.data)
    form.group.choices = [("", "no group"), *((name, name) for name in names)]
    form.collection.choices = [(c.name, c.display_name) for c in context.choice().every]
    form.next.data = access.local(form.next.data) or ""
    return render_template("add_packages.html", around=context.surroundings(), form=form), status
