"""The forms at the foot of a package's page: its settings, and the groups that it is in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from wtforms import BooleanField, Field, IntegerField, StringField
from wtforms.validators import Length

from frontend import context, forms, people
from koschei import memberships, packages
from koschei.memberships import Membership
from koschei.model import Package
from koschei.queries import maintainers
from koschei.rights import Person

LONGEST_OVERRIDE = 300
GROUPS_SHOWN = 200


class Untouched(Field):  # type: ignore[misc]
    """A setting that was sent as the page had it (`was_<name>`) is no wish of anybody: it is as it is stored now."""

    def process(self, formdata: Any, *rest: Any, **options: Any) -> None:
        """What was sent, or what is stored."""
        untouched = formdata is not None and formdata.get(f"was_{self.name}") == formdata.get(self.name, "")
        super().process(None if untouched else formdata, *rest, **options)


class PriorityField(Untouched, IntegerField):  # type: ignore[misc]
    """A priority; a field that was emptied means none, which is 0."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Errors: ValueError for what is no number."""
        super().process_formdata(["0"] if valuelist and not valuelist[0].strip() else valuelist)


class BoxField(Untouched, BooleanField):  # type: ignore[misc]
    """A box to tick. One that is not ticked is not sent: `<name>__present` says that it was there."""

    def process(self, formdata: Any, *rest: Any, **options: Any) -> None:
        """What was sent, or what it was when there was no box."""
        there = formdata is not None and f"{self.name}__present" in formdata
        super().process(formdata if there else None, *rest, **options)


class TextField(Untouched, StringField):  # type: ignore[misc]
    """A text."""


class SettingsForm(forms.Form):
    """The settings of a package (`obj`). Those that the person may not change are not sent, and stay as they are."""

    tracked = BoxField("Tracked")
    manual_priority = PriorityField("Manual priority")
    static_priority = PriorityField("Static priority")
    arch_override = TextField("Architectures", [Length(max=LONGEST_OVERRIDE)])
    skip_resolution = BoxField("Skip resolution")

    def texts(self) -> dict[str, str]:
        """What a browser sends when nobody touches the form, by name; nothing for a box that is not ticked."""
        found = {field.name: self[field.name] for field in fields(packages.Edit)}
        return {
            name: "" if isinstance(field, BooleanField) and not field.data else field._value()
            for name, field in found.items()
        }

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

    `was`: the settings that are stored, as a browser sends them; `maintains`: whether the maintainers' settings can be
    changed; `sent`: whether the form has what was sent, and not what is stored.
    """

    person: Person
    form: SettingsForm
    was: Mapping[str, str]
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
    stored = SettingsForm(formdata=None, obj=row)
    return Panel(
        person,
        form or stored,
        stored.texts(),
        person.admin or maintainers.maintains(session, person.name, row.base_id),
        memberships.of_package(session, person, row.base_id, GROUPS_SHOWN),
        config.koji_config.build_arches,
        config.frontend.highest_manual_priority,
        form is not None,
    )
