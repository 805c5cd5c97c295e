"""Groups of packages and who maintains them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, UniqueConstraint, and_, exists, or_
from sqlalchemy.orm import Mapped, mapped_column

from koschei.model.base import Base, Id, Name
from koschei.model.users import User


class PackageGroup(Base):
    """A named set of packages; without a namespace it is global, else it belongs to the user of that name."""

    __tablename__ = "package_group"
    # NULL namespaces are equal: two global groups of one name would be a trap.
    __table_args__ = (UniqueConstraint("namespace", "name", postgresql_nulls_not_distinct=True),)

    id: Mapped[Id]
    namespace: Mapped[Name | None]
    name: Mapped[Name]

    @property
    def full_name(self) -> str:
        """`namespace/name`, or `name` of a global group."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @staticmethod
    def is_called(full_name: str) -> ColumnElement[bool]:
        """The condition that a group has this full name."""
        namespace, _, name = full_name.rpartition("/")
        return and_(PackageGroup.name == name, PackageGroup.namespace.is_not_distinct_from(namespace or None))

    @staticmethod
    def is_of(user_name: str) -> ColumnElement[bool]:
        """The condition that a group bears a user's name, or is maintained by that user."""
        maintained = exists().where(GroupACL.group_id == PackageGroup.id, GroupACL.user_id == User.id)
        return or_(PackageGroup.namespace == user_name, maintained.where(User.name == user_name))

    @staticmethod
    def in_order() -> tuple[ColumnElement[Any], ColumnElement[Any]]:
        """The order of lists: global groups first, then by name."""
        return PackageGroup.namespace.asc().nulls_first(), PackageGroup.name.asc()


class PackageGroupRelation(Base):
    """Membership of a package in a group."""

    __tablename__ = "package_group_relation"

    group_id: Mapped[int] = mapped_column(ForeignKey("package_group.id", ondelete="CASCADE"), primary_key=True)
    base_id: Mapped[int] = mapped_column(
        ForeignKey("base_package.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class GroupACL(Base):
    """A maintainer of a group."""

    __tablename__ = "group_acl"

    group_id: Mapped[int] = mapped_column(ForeignKey("package_group.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), primary_key=True, index=True)
