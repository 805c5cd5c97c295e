"""What people may do to a package on its page: settings, groups, and asking for a resolution or a build."""

from __future__ import annotations

from flask import Blueprint, flash, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from frontend import again, context, editing, forms, pages_package
from frontend.access import Role, needs
from frontend.package_settings import SettingsForm
from koschei import memberships, packages, requests, rights
from koschei.errors import InvalidInputError, NotFoundError, UserError
from koschei.model import BasePackage
from koschei.queries import package
from koschei.queries.package import Somewhere

blueprint = Blueprint("package_edit", __name__)

NO_CHANGE = "Nothing was changed: it is like that already"


@blueprint.post("/package/<name>/edit")
@needs(Role.USER)
@again.on_its_page(lambda name: _filled_in(_here(name)))
def edit(name: str) -> ResponseReturnValue:
    """Change settings: manual priority anybody, static ones who administer, the others maintainers."""
    here = _here(name)
    form = SettingsForm(obj=here.package)
    config = context.frontend().config
    if form.validate():
        wish = form.wish(here.package)
        try:
            with editing.edit() as session:
                rights.check_package_edit(session, editing.someone(), here.package.id, wish, config)
                arches = config.koji_config.build_arches
                changed = packages.edit(
                    session, editing.actor(), here.package.id, wish, known_arches=arches, now=context.now()
                )
        except UserError as error:
            if error.field is None:
                raise
            form[error.field].errors = [str(error)]
        else:
            return editing.done("Package modified" if changed else NO_CHANGE, **_page_of(here))
    flash(f"Nothing was changed. {forms.faults(form)}", "danger")
    return pages_package.page(here, form), 422


@blueprint.post("/package/<name>/groups")
@needs(Role.MAINTAINER)
def groups(name: str) -> ResponseReturnValue:
    """Put it into groups, or take it out. `group-prev-<id>` says that a group had a box, `group-<id>` is its tick."""
    here = _here(name)
    shown = {word: was for word, was in request.form.items() if word.startswith("group-prev-")}
    ids = {word.removeprefix("group-prev-"): was for word, was in shown.items()}
    if not all(group_id.isdecimal() and len(group_id) < 19 for group_id in ids):
        raise InvalidInputError("A group has no such number: reload the page, and choose again")
    wanted = {
        int(group_id): ticked
        for group_id, was in ids.items()
        if (ticked := f"group-{group_id}" in request.form) != (was.lower() in ("true", "1", "on"))
    }
    with editing.edit() as session:
        base = session.get_one(BasePackage, here.package.base_id)
        changed = memberships.change(session, editing.actor(), editing.someone(), base, wanted)
    return editing.done("Groups of the package modified" if changed else NO_CHANGE, **_page_of(here))


@blueprint.post("/package/<name>/resolve")
@needs(Role.USER)
def resolve(name: str) -> ResponseReturnValue:
    """Have its build dependencies looked at now."""
    here = _here(name)

    def ask(session: Session) -> None:
        requests.resolve(session, editing.actor(), requests.packages_of(session, [here.package.id]))

    return editing.press(ask, "Its build dependencies will be looked at within a minute or so", **_page_of(here))


@blueprint.post("/package/<name>/rebuild")
@needs(Role.USER)
def rebuild(name: str) -> ResponseReturnValue:
    """Have it built as soon as Koji's load and the limits allow."""
    here = _here(name)

    def ask(session: Session) -> None:
        config, now = context.frontend().config, context.now()
        requests.rebuild(session, editing.actor(), editing.someone(), here.package.id, config, now)

    return editing.press(ask, "It is built next, as soon as Koji's load and the limits allow", **_page_of(here))


def _here(name: str) -> Somewhere:
    """The package in the collection that the form names: by number (`collection_id`), or by name in its address."""
    word = request.form.get("collection_id", "")
    every = context.choice().every
    if word:
        every = [collection for collection in every if str(collection.id) == word]
        if not every:
            raise InvalidInputError("There is no such collection (any more): reload the page")
    else:
        every = context.choice().chosen
    found = package.everywhere(context.session(), name, every)
    if not found:
        raise NotFoundError(f"There is no package “{name}” in that collection")
    return found[0]


def _filled_in(here: Somewhere) -> str:
    return pages_package.page(here, SettingsForm(obj=here.package))


def _page_of(here: Somewhere) -> dict[str, str]:
    return {"endpoint": "package.detail", "name": here.package.name, "collection": here.collection.name}
