"""History of a package's resolvability: when its build dependencies could be installed, and why not."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column, relationship

from koschei.model.base import Base, Id, Now


class ResolutionChange(Base):
    """The answer of the resolver changed: resolvable or not, or other problems than before."""

    __tablename__ = "resolution_change"
    __table_args__ = (Index(None, "package_id", "timestamp"),)

    id: Mapped[Id]
    package_id: Mapped[int] = mapped_column(ForeignKey("package.id", ondelete="CASCADE"))
    resolved: Mapped[bool]
    timestamp: Mapped[Now]
    repo_id: Mapped[int | None]

    problems: Mapped[list[ResolutionProblem]] = relationship(
        order_by="ResolutionProblem.position", passive_deletes=True
    )


class ResolutionProblem(Base):
    """One reason why build dependencies could not be installed."""

    __tablename__ = "resolution_problem"

    resolution_id: Mapped[int] = mapped_column(ForeignKey("resolution_change.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    problem: Mapped[str]
