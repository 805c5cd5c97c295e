"""The forms at the foot of a package's page: its settings, and the groups that it is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from wtforms import BooleanField, IntegerField, StringField
from wtforms.validators import Length

from frontend import context, forms, people
from koschei import memberships, packages
from koschei.memberships import Membership
from koschei.model import Package
from koschei.queries import maintainers
from koschei.rights import Person

LONGEST_OVERRIDE = 300
GROUPS_SHOWN = 200


class PriorityField(IntegerField):  # type: ignore[misc]
    """A priority; a field that was emptied means none, which is 0."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Errors: ValueError for what is no number."""
        super().process_formdata(["0"] if valuelist and not valuelist[0].strip() else valuelist)


class BoxField(BooleanField):  # type: ignore[misc]
    """A box to tick. One that is not ticked is not sent: `<name>__present` says that it was there."""

    def process(self, formdata: Any, *rest: Any, **options: Any) -> None:
        """What was sent, or what it was when there was no box."""
        there = formdata is not None and f"{self.name}__present" in formdata
        super().process(formdata if there else None, *rest, **options)


class SettingsForm(forms.Form):
    """The settings of a package (`obj`). Those that the person may not change are not sent, and stay as they are."""

    tracked = BoxField("Tracked")
    manual_priority = PriorityField("Manual priority")
    static_priority = PriorityField("Static priority")
    arch_override = StringField("Architectures", [Length(max=LONGEST_OVERRIDE)])
    skip_resolution = BoxField("Skip resolution")

    def wish(self, row: Package) -> packages.Edit:
        """What is to be changed: what differs."""
        wanted = {field.name: self[field.name].data for field in fields(packages.Edit)}
        # No architectures are NULL in the table, and an empty field here.
        return packages.Edit(
            **{name: data for name, data in wanted.items() if (data or "") != (getattr(row, name) or "")}
        )


@dataclass(frozen=True)
class Panel:
    """What the forms show to this person.

    `maintains`: whether the maintainers' settings can be changed; `sent`: whether the form has what was sent, and not
    what is stored.
    """

    person: Person
    form: SettingsForm
    maintains: bool
    memberships: Sequence[Membership]
    arches: Sequence[str]
    highest: int
    sent: bool


def panel(row: Package, form: SettingsForm | None = None) -> Panel | None:
    """The forms for whoever is logged in, else None; `form`: one that was sent, and is not stored."""
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
        form is not None,
    )
