"""What the PostgreSQL benchmarks read and write, and the engines of both sides."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import sqlalchemy
import sqlalchemy.ext.asyncio
from sqlalchemy import DateTime, Numeric, and_, insert, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import async_layers

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

STORED = 10_000
_FIRST = datetime(2024, 2, 29, 12, 30, 15, 250_000, tzinfo=UTC)
# A commit that waits for the disk would measure the disk.
_SETTINGS = {"synchronous_commit": "off"}


class Base(DeclarativeBase):
    """What holds the metadata of these benchmarks' tables."""


class Event(Base):
    """A row that is read, of many types."""

    __tablename__ = "async_layers_bench_event"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    count: Mapped[int]
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    day: Mapped[date]
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    ratio: Mapped[float]


class Entry(Base):
    """A row that is written."""

    __tablename__ = "async_layers_bench_entry"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    count: Mapped[int]
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


ONE = select(Event.name).where(Event.id == 1)
FIVE = select(Event.id).where(
    and_(
        Event.id == 7,
        Event.name == "event 7",
        Event.count == 49,
        Event.at == _FIRST + timedelta(seconds=7),
        Event.ratio > 0.5,
    )
)
TEXT = text("SELECT name FROM async_layers_bench_event WHERE id = :id")
PAIRS = select(Event.id, Event.name)
WIDE = select(Event.id, Event.name, Event.count, Event.at, Event.day)
INSERT = insert(Entry)
ENTRY: dict[str, object] = {"name": "an entry", "count": 5, "at": _FIRST}
ENTRIES = [{"name": f"entry {n}", "count": n, "at": _FIRST} for n in range(1000)]


def event(number: int) -> dict[str, object]:
    """Return the row with this number."""
    return {
        "id": number,
        "name": f"event {number}",
        "count": number * 7,
        "at": _FIRST + timedelta(seconds=number),
        "day": date(2024, 2, 29) + timedelta(days=number % 1000),
        "price": Decimal(number) / 100,
        "ratio": number + 0.5,
    }


def create(connection: Connection) -> None:
    """Create the tables anew, and fill the one that is read."""
    Base.metadata.drop_all(connection)
    Base.metadata.create_all(connection)
    connection.execute(insert(Event), [event(number) for number in range(STORED)])
    connection.execute(text(f"ANALYZE {Event.__tablename__}"))


def drop(connection: Connection) -> None:
    """Drop the tables."""
    Base.metadata.drop_all(connection)


def open_ours(url: str, **arguments: Any) -> Engine:
    """Open our blocking engine."""
    return async_layers.create_engine(url, connect_args=_psycopg(), **arguments)


def open_stock(url: str, **arguments: Any) -> Engine:
    """Open SQLAlchemy's own on psycopg."""
    stock = sqlalchemy.make_url(url).set(drivername="postgresql+psycopg")
    return sqlalchemy.create_engine(stock, connect_args=_psycopg(), **arguments)


def open_ours_async(url: str, **arguments: Any) -> AsyncEngine:
    """Open our asyncio engine."""
    return async_layers.create_async_engine(url, connect_args=_asyncpg(), **arguments)


def open_stock_async(url: str, **arguments: Any) -> AsyncEngine:
    """Open SQLAlchemy's own on asyncpg."""
    stock = sqlalchemy.make_url(url).set(drivername="postgresql+asyncpg")
    return sqlalchemy.ext.asyncio.create_async_engine(
        stock, connect_args=_asyncpg(), **arguments
    )


def _psycopg() -> dict[str, object]:
    return {"options": " ".join(f"-c {key}={one}" for key, one in _SETTINGS.items())}


def _asyncpg() -> dict[str, object]:
    return {"server_settings": dict(_SETTINGS)}
