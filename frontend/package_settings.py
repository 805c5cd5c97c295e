"""The forms at the foot of a package's page: its settings, and the groups that it is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import request
from wtforms import BooleanField, IntegerField, StringField
from wtforms.validators import Length, NumberRange, Optional

from frontend import context, forms, people
from koschei import memberships, packages
from koschei.memberships import Membership
from koschei.model import Package
from koschei.queries import maintainers
from koschei.rights import Person

LONGEST_OVERRIDE = 300
GROUPS_SHOWN = 200


class SettingsForm(forms.Form):
    """The settings of a package; those that the person may not change are left out of the page, and refused here.

    A box that is not ticked is not sent: `<name>__present` says that it was there.
    """

    tracked = BooleanField("Tracked")
    manual_priority = IntegerField("Manual priority", [Optional()])
    static_priority = IntegerField(
        "Static priority", [Optional(), NumberRange(-packages.HIGHEST_PRIORITY, packages.HIGHEST_PRIORITY)]
    )
    arch_override = StringField("Architectures", [Length(max=LONGEST_OVERRIDE)])
    skip_resolution = BooleanField("Skip resolution")

    def wish(self, row: Package) -> packages.Edit:
        """What is to be changed: what was sent, and is different."""
        sent = request.form
        values = {
            name: self[name].data
            for name in ("tracked", "skip_resolution")
            if f"{name}__present" in sent and self[name].data != getattr(row, name)
        }
        values |= {
            name: self[name].data
            for name in ("manual_priority", "static_priority")
            if self[name].data is not None and self[name].data != getattr(row, name)
        }
        if "arch_override" in sent and (self.arch_override.data or "") != (row.arch_override or ""):
            values["arch_override"] = self.arch_override.data or ""
        return packages.Edit(**values)


@dataclass(frozen=True)
class Panel:
    """What the forms show to this person: `maintains` tells whether the maintainers' settings can be changed."""

    person: Person
    form: SettingsForm
    maintains: bool
    memberships: Sequence[Membership]
    arches: Sequence[str]
    highest: int

    @property
    def wrong(self) -> bool:
        """Whether something that was sent makes no sense."""
        return bool(self.form.errors)


def panel(row: Package, form: SettingsForm | None = None) -> Panel | None:
    """The forms for whoever is logged in, else None; `form`: one that was sent and has mistakes."""
    person, session, config = people.person(), context.session(), context.frontend().config
    if person is None:
        return None
    return Panel(
        person,
        form or SettingsForm(formdata=None, obj=row),
        person.admin or maintainers.maintains(session, person.name, row.base_id),
        memberships.editable(session, person, row.base_id, GROUPS_SHOWN),
        config.koji_config.build_arches,
        config.frontend.highest_manual_priority,
    )
