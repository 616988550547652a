"""A small table for the tests of trips, cancellations and lifecycles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Base(DeclarativeBase):
    """The tables of these tests."""


class Item(Base):
    """A row that says nothing."""

    __tablename__ = "item"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="new")


IDS = select(Item.id)
COUNT = select(func.count()).select_from(Item)
NEW = insert(Item).values(name="new")


def prepare(connection: Connection, rows: int = 0) -> None:
    """Create the table, with so many rows."""
    Base.metadata.create_all(connection)
    if rows:
        connection.execute(insert(Item), [{"name": f"item {n}"} for n in range(rows)])
