"""What each command of the operators' guide changes, and which page shows it.

A command that changes something must be here: with what its page shows afterwards, or with the reason why no page does
and what has changed in the database instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from koschei import notices
from koschei.collections import by_name
from koschei.model import ApiToken, Collection, Package, PackageGroup, PackageGroupRelation, User
from tests.guide.guide import OLD_BUILD, RUNNING_BUILD
from tests.guide.pages import Sight, closes, hides, opens, shows

PEOPLE = "who administers is shown to those who do, in the audit log"


@dataclass(frozen=True)
class OnNoPage:
    """An effect that no page shows: why, and what the database says after the command, and did not before."""

    why: str
    stored: Callable[[Session], bool]


EVERYWHERE = "every page"
"""Stands for the address of each kind of page."""
Effect = Sequence[Sight] | OnNoPage


def _package(session: Session, name: str, collection: str) -> Package:
    query = select(Package).where(Package.name == name, Package.collection_id == by_name(session, collection).id)
    return session.scalars(query).one()


def _members(session: Session, group: str) -> int | None:
    """How many packages a group has; None when there is no such group."""
    namespace, _, name = group.rpartition("/")
    ours = PackageGroup.name == name, PackageGroup.namespace.is_not_distinct_from(namespace or None)
    found = session.scalars(select(PackageGroup.id).where(*ours)).one_or_none()
    if found is None:
        return None
    relation = PackageGroupRelation
    return session.scalar(select(func.count()).select_from(relation).where(relation.group_id == found))


def administers(name: str, expected: bool) -> OnNoPage:
    """A person may administer afterwards, or not any more."""
    query = select(User.name).where(User.name == name, User.admin)
    return OnNoPage(PEOPLE, lambda session: (session.scalar(query) is not None) is expected)


F27_FOO = "/package/foo?collection=f27"
F39_FOO = "/package/foo?collection=f39"
BUILDS_OF_OLD = f"/build/{OLD_BUILD}"
SUSPENDED = "Koschei operation is currently suspended due to scheduled Koji outage"

EFFECTS: dict[str, Effect] = {
    # Announcements
    f'koschei-admin set-notice "{SUSPENDED}"': shows(EVERYWHERE, SUSPENDED),
    'koschei-admin set-notice "Fedora 28 has been branched: [what to do](https://example.org/branching)"': [
        *shows(EVERYWHERE, "Fedora 28 has been branched: what to do"),
        *hides(EVERYWHERE, "an older notice"),
    ],
    "koschei-admin clear-notice": hides(EVERYWHERE, "an older notice", "Announcement"),
    # Collections
    (
        'koschei-admin create-collection f43 -d "Fedora 43" -t f43 --dest-tag f43 --bugzilla-product Fedora '
        "--bugzilla-version 43"
    ): [
        *opens("/collection/f43"),
        *shows("/", "Fedora 43"),
        *shows("/collections", "Fedora 43"),
    ],
    "koschei-admin create-collection-group fedora -d Fedora -c f43 f39": shows(
        "/collections", "Fedora with their packages' states and newest repository"
    ),
    "koschei-admin fork-collection f27 f27-side -d 'Fedora 27, side tag' -t f27-side --dest-tag f27": [
        *opens("/collection/f27-side"),
        *shows("/", "Fedora 27, side tag"),
        *shows("/collections", "Fedora 27, side tag"),
        *shows("/package/foo", "Fedora 27, side tag"),
    ],
    "koschei-admin branch-collection f27 f28 -d 'Fedora 27' -t f28 --bugzilla-version 27": [
        *opens("/collection/f28"),
        *shows("/", " ".join(["Fedora 27 base buildroot not resolved yet 0 failing 0 unresolved 8 ok"] * 2)),
        *shows("/collection/f28", "Target f28 Build tag f28-build Destination tag f28-build", "All 8 tracked packages"),
        *shows("/collection/f27", "No repository of it was looked at yet"),
        *opens("/packages?collection=f27,f28"),
        *shows("/api/v1/packages?collection=f28&name=foo", '"state" : "ok"'),
    ],
    "koschei-admin edit-collection f28 -d 'Fedora 28' --bugzilla-version 28": [
        *shows("/", "Fedora 28"),
        *shows("/collection/f28", "Collection f28 Fedora 28"),
    ],
    "koschei-admin delete-collection --force f39": [
        *closes("/collection/f39"),
        *closes("/packages?collection=f39"),
        *closes(f"/build/{RUNNING_BUILD}"),
        *hides("/", "Fedora 39"),
        *hides("/collections", "Fedora 39"),
        *hides("/package/foo", "Fedora 39"),
    ],
    # Packages
    "koschei-admin add-pkg --collection f43 bash zlib": [
        *shows("/", "Fedora 43 0 failing 0 unresolved 2 ok"),
        *shows("/packages?collection=f43", "bash ok", "zlib ok"),
        *hides("/package/bash?collection=f43", "Package is not tracked"),
    ],
    "koschei-admin track --collection f27 --group someuser/mygroup": [
        *hides(F27_FOO, "Package is not tracked"),
        *shows("/packages?collection=f27", "foo ok"),
    ],
    "koschei-admin untrack --all-collections --group someuser/mygroup": [
        *shows(F39_FOO, "Package is not tracked"),
        *hides("/packages?collection=f39", "foo ok"),
    ],
    "koschei-admin untrack --collection f39 --all --force": [
        *shows(F39_FOO, "Package is not tracked"),
        *shows("/collection/f39", "No package of it is tracked"),
        *shows("/", "No package is tracked yet"),
    ],
    "koschei-admin --collection f27 set-priority --static foo 100": shows(F27_FOO, "static 100"),
    "koschei-admin set-priority --static foo 100 --collection f27": shows(F27_FOO, "static 100"),
    "koschei-admin set-priority --collection f27 foo bar 500": [
        *shows(F27_FOO, "manual 500"),
        *shows("/package/bar?collection=f27", "manual 500"),
    ],
    "koschei-admin set-priority --collection f27 --static foo -1000": shows(F27_FOO, "static \N{MINUS SIGN}1 000"),
    "koschei-admin set-arch-override --collection f27 foo x86_64": shows(F27_FOO, "Architectures only x86_64"),
    "koschei-admin set-arch-override --collection f27 bar ^i686": shows(
        "/package/bar?collection=f27", "Architectures all that its source package and the build tag say, but i686"
    ),
    "koschei-admin resolve --collection f27 foo": shows(F27_FOO, "Its build dependencies are to be looked at again"),
    # Builds
    "koschei-admin submit-build --collection f27 foo": [
        *shows("/", "foo 27-1.fc43 in Fedora 27"),
        *shows("/packages?running=1&collection=f27", "1 package, running in Fedora 27"),
        *shows(F27_FOO, "Package has a running build"),
    ],
    f"koschei-admin cancel-build {RUNNING_BUILD}": [
        *shows(f"/build/{RUNNING_BUILD}", "and is to be cancelled"),
        *shows("/package/bar?collection=f39", "is to be cancelled"),
    ],
    "koschei-admin reconcile": [
        *shows(f"/build/{RUNNING_BUILD}", "Koji spoiled it"),
        *shows(F39_FOO, "39-1.fc43"),
        *shows("/", "No build is running"),
    ],
    "koschei-admin reconcile --collection f43 --believe": [
        *shows("/package/foo?collection=f43", "Package is blocked in koji"),
        *shows("/collection/f43", "blocked"),
    ],
    # History
    "koschei-admin retention --apply": closes(BUILDS_OF_OLD),
    "koschei-admin cleanup --older-than 3": closes(BUILDS_OF_OLD),
    # Groups
    "koschei-admin add-group mynewgroup": [
        *shows("/groups/mynewgroup", "No package is in it"),
        *shows("/groups", "2 groups", "mynewgroup 0"),
    ],
    "koschei-admin add-group mynewgroup pkg1 pkg2 pkg3": [
        *shows("/groups/mynewgroup", "It has 3 packages, and none of them is broken", "pkg1", "pkg2", "pkg3"),
        *shows("/groups", "mynewgroup 3"),
        *shows("/package/pkg1", "Groups mynewgroup"),
        *shows("/packages?group=mynewgroup", "3 packages of group mynewgroup"),
    ],
    "koschei-admin add-group someuser/python pkg1 pkg2 --maintainer someuser": [
        *shows("/groups/someuser/python", "It has 2 packages", "Maintained by someuser"),
        *shows("/user/someuser", "someuser maintains 2 groups:", "someuser/python 2 packages"),
    ],
    "koschei-admin edit-group someuser/mygroup --make-global --new-name thegroup": [
        *shows("/groups/thegroup", "It has 1 package", "foo"),
        *closes("/groups/someuser/mygroup"),
        *shows("/package/foo", "Groups thegroup"),
        *hides("/user/someuser", "someuser/mygroup"),
    ],
    "koschei-admin delete-group someuser/mygroup --force": [
        *closes("/groups/someuser/mygroup"),
        *hides("/groups", "someuser/mygroup"),
    ],
    "koschei-admin refresh-group --create --append rubygems --regex '^rubygem-'": [
        *shows("/groups/rubygems", "It has 1 package", "rubygem-rails"),
        *shows("/groups", "rubygems 1"),
    ],
    # People
    "koschei-admin grant-admin --create newcomer": administers("newcomer", True),
    "koschei-admin revoke-admin someuser": administers("someuser", False),
    "koschei-admin revoke-tokens someuser": OnNoPage(
        "tokens are shown to their own person", lambda session: session.scalar(select(func.count(ApiToken.id))) == 0
    ),
}


def _titles(session: Session) -> dict[str, str]:
    return {found.name: found.display_name for found in session.scalars(select(Collection))}


def _static(session: Session) -> int:
    return _package(session, "foo", "f27").static_priority


# What operators know by heart is looked up in the database, too.
STORED: dict[str, Callable[[Session], bool]] = {
    f'koschei-admin set-notice "{SUSPENDED}"': lambda session: notices.current(session) == SUSPENDED,
    "koschei-admin clear-notice": lambda session: notices.current(session) is None,
    "koschei-admin --collection f27 set-priority --static foo 100": lambda session: _static(session) == 100,
    "koschei-admin set-priority --static foo 100 --collection f27": lambda session: _static(session) == 100,
    "koschei-admin branch-collection f27 f28 -d 'Fedora 27' -t f28 --bugzilla-version 27": lambda session: (
        _titles(session) == {"f28": "Fedora 27", "f27": "Fedora 27", "f39": "Fedora 39", "f43": "Fedora 43"}
    ),
    "koschei-admin delete-collection --force f39": lambda session: "f39" not in _titles(session),
    "koschei-admin add-group mynewgroup": lambda session: _members(session, "mynewgroup") == 0,
    "koschei-admin add-group mynewgroup pkg1 pkg2 pkg3": lambda session: _members(session, "mynewgroup") == 3,
    "koschei-admin edit-group someuser/mygroup --make-global --new-name thegroup": lambda session: (
        _members(session, "thegroup") == 1 and _members(session, "someuser/mygroup") is None
    ),
}
