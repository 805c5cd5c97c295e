"""`/packages`: the packages that fit, with their state in each collection."""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, render_template, request

from frontend import context, package_list
from koschei.errors import NotFoundError
from koschei.queries import groups

blueprint = Blueprint("packages", __name__)

PLACE = package_list.Place("packages.listing")


@blueprint.get("/packages")
def listing() -> str:
    """The list; `group` in the address narrows it down to the packages of one, `user` to those of a person."""
    filters, group_ids = package_list.read_filters(PLACE), None
    name = request.args.get("group", "").strip()
    if name:
        group = groups.find(context.session(), name)
        if group is None:
            raise NotFoundError(f"There is no group “{name}”")
        filters, group_ids = replace(filters, group=group.full_name), [group.id]
    user = request.args.get("user", "").strip() or None
    filters = replace(filters, user=user)
    return render_template(
        "packages.html", around=context.surroundings(), listing=package_list.listed(filters, group_ids, user)
    )
