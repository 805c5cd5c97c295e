"""What all tables share: naming of constraints, bigint keys, UTC times."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import BigInteger, Identity, MetaData, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

from koschei.db.types import NAME, UtcDateTime

Id = Annotated[int, mapped_column(BigInteger, Identity(always=False), primary_key=True)]
Name = Annotated[str, mapped_column(NAME)]
Now = Annotated[datetime, mapped_column(UtcDateTime, server_default=func.clock_timestamp())]


class Base(DeclarativeBase):
    """Declarative base of every table."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {int: BigInteger, str: Text, datetime: UtcDateTime, dict[str, Any]: JSONB}  # noqa: RUF012
