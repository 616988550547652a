"""A session converts values as its connection does, and keeps classes of Enum."""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Date, Enum, Text, cast, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.postgresql._dialects import ASYNCPG, wrong_on
from tests.postgresql._values import DAY, REFUSES, Number, temporary

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

    from tests.postgresql._dialects import Side


class Colour(enum.Enum):
    """A colour, stored by its name."""

    RED = "r"


class Shade(str, enum.Enum):  # noqa: UP042 - as programs spell it
    """A shade, stored by its name, whatever its value."""

    DARK = "d"


@pytest.mark.parametrize("member", [Colour.RED, Shade.DARK, Number.FIVE])
@pytest.mark.parametrize("native", [True, False])
def test_a_class_of_enum(side: Side, member: enum.Enum, *, native: bool) -> None:
    """A member comes back as itself, and is stored by its name."""
    kind = Enum(type(member), name="al_member", native_enum=native)

    def body(connection: Connection) -> object:
        table = temporary(connection, kind)
        connection.execute(insert(table), [{"v": member}, {"v": None}])
        found = connection.execute(select(table.c.v, cast(table.c.v, Text)))
        return [tuple(row) for row in found]

    assert [(member, member.name), (None, None)] == side.run(body)


class Base(DeclarativeBase):
    """The mapped table of these tests."""


class Item(Base):
    """A row that a session writes."""

    __tablename__ = "al_item"
    __table_args__ = ({"prefixes": ["TEMPORARY"]},)

    id: Mapped[int] = mapped_column(primary_key=True)
    whole: Mapped[int | None]
    exact: Mapped[Decimal | None]
    day: Mapped[str | None] = mapped_column(Date)


@wrong_on(ASYNCPG, REFUSES)
@pytest.mark.parametrize("size", [1, 3])
def test_a_flush_converts(side: Side, size: int) -> None:
    """A session that adds or changes rows has what the server made of them."""
    given: dict[str, Any] = {"whole": "4", "exact": 0.1, "day": "2024-02-29"}

    def body(session: Session) -> object:
        Base.metadata.create_all(session.connection())
        items = [Item(id=number, **given) for number in range(size)]
        session.add_all(items)
        session.flush()
        for item in items:
            item.whole = 3.5  # type: ignore[assignment]
        session.flush()
        session.expire_all()
        return [(item.whole, item.exact, item.day) for item in items]

    assert [(4, Decimal("0.1"), DAY)] * size == side.session(body)


@wrong_on(ASYNCPG, REFUSES)
def test_a_row_is_got_by_a_key_of_another_type(side: Side) -> None:
    """`session.get` with a text finds the row with the number."""

    def body(session: Session) -> object:
        Base.metadata.create_all(session.connection())
        session.execute(insert(Item), {"id": 5, "whole": 6})
        found = session.get(Item, "5")
        return found and found.whole

    assert 6 == side.session(body)
