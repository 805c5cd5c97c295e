"""Collections: releases of a distribution as Koji knows them, and what is known of their repositories."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from koschei.db.types import StrEnumType
from koschei.model.base import Base, Id, Name, Now
from koschei.rules.states import CollectionState, collection_state


class Collection(Base):
    """A release: where its packages are listed (dest_tag), built (target) and resolved (build_tag)."""

    __tablename__ = "collection"
    __table_args__ = (
        # Half an answer is none: a repository was judged, or no repository is known.
        CheckConstraint("(latest_repo_resolved IS NULL) = (latest_repo_id IS NULL)", "latest_repo_id"),
        CheckConstraint("priority_coefficient >= 0", "priority_coefficient"),
    )

    id: Mapped[Id]
    order: Mapped[int] = mapped_column(Integer, default=100, server_default="100")
    name: Mapped[Name] = mapped_column(unique=True)
    display_name: Mapped[str]
    target: Mapped[str]
    dest_tag: Mapped[str]
    build_tag: Mapped[str]
    bugzilla_product: Mapped[str | None]
    bugzilla_version: Mapped[str | None]
    priority_coefficient: Mapped[float] = mapped_column(default=1.0, server_default="1")
    build_group: Mapped[str] = mapped_column(default="build", server_default="build")
    latest_repo_id: Mapped[int | None]
    latest_repo_resolved: Mapped[bool | None]
    poll_untracked: Mapped[bool] = mapped_column(default=True, server_default=text("true"))

    @property
    def state(self) -> CollectionState:
        """Whether the base buildroot of its newest repository can be installed."""
        return collection_state(self.latest_repo_resolved)

    def __str__(self) -> str:
        return self.display_name


class CollectionStateChange(Base):
    """The base buildroot became installable or stopped being so."""

    __tablename__ = "collection_state_change"
    __table_args__ = (Index(None, "collection_id", "timestamp"),)

    id: Mapped[Id]
    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"))
    prev: Mapped[CollectionState] = mapped_column(StrEnumType(CollectionState))
    new: Mapped[CollectionState] = mapped_column(StrEnumType(CollectionState))
    repo_id: Mapped[int | None]
    timestamp: Mapped[Now]


class BuildrootProblem(Base):
    """Why the base buildroot of a collection's newest repository cannot be installed."""

    __tablename__ = "buildroot_problem"

    id: Mapped[Id]
    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"), index=True)
    problem: Mapped[str]


class RepositoryResolution(Base):
    """The resolution of all packages of a collection in one repository: its progress, and when it was done.

    `position` is the name of the last package stored: a resolver that was killed goes on behind it.
    `repo_created` is when Koji made the repository, as far as it told.
    """

    __tablename__ = "repository_resolution"
    __table_args__ = (UniqueConstraint("collection_id", "repo_id"),)

    id: Mapped[Id]
    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"))
    repo_id: Mapped[int]
    base_resolved: Mapped[bool]
    started: Mapped[Now]
    finished: Mapped[datetime | None]
    position: Mapped[Name | None]
    resolved: Mapped[int] = mapped_column(default=0, server_default="0")
    unresolved: Mapped[int] = mapped_column(default=0, server_default="0")
    changed: Mapped[int] = mapped_column(default=0, server_default="0")
    repo_created: Mapped[datetime | None]


class CollectionGroup(Base):
    """A named set of collections, e.g. all releases of one distribution."""

    __tablename__ = "collection_group"

    id: Mapped[Id]
    name: Mapped[Name] = mapped_column(unique=True)
    display_name: Mapped[str]
    collections: Mapped[list[Collection]] = relationship(
        secondary="collection_group_relation", order_by=(Collection.order.desc(), Collection.name.desc())
    )


class CollectionGroupRelation(Base):
    """Membership of a collection in a collection group."""

    __tablename__ = "collection_group_relation"

    group_id: Mapped[int] = mapped_column(ForeignKey("collection_group.id", ondelete="CASCADE"), primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"), primary_key=True)
