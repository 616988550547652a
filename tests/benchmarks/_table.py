"""The table that the benchmarks read and write, and its rows; no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import event, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection

STORED = 10_000
LOADED = 2_000


class Base(DeclarativeBase):
    """What holds the metadata of the benchmarks' tables."""


class Item(Base):
    """A row that is read."""

    __tablename__ = "async_layers_bench_item"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    price: Mapped[int]


class Loaded(Base):
    """A row that is loaded, and rolled back."""

    __tablename__ = "async_layers_bench_loaded"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    price: Mapped[int]


def rows(count: int) -> list[dict[str, object]]:
    """Return rows for either table."""
    return [{"id": n, "name": f"item {n}", "price": n * 7} for n in range(count)]


ONE = select(Item.name).where(Item.id == 1)
ALL = select(Item.id, Item.name, Item.price)


INSERT = insert(Base.metadata.tables[Loaded.__tablename__])
LOADED_AT_ONCE = rows(1000)


def one_row(number: int) -> dict[str, object]:
    """Return a row that is not among those that are loaded at once."""
    return {"id": 1_000_000 + number, "name": "an item", "price": number}


def create(connection: Connection, stored: int = STORED) -> None:
    """Create the tables anew, and fill the one that is read."""
    Base.metadata.drop_all(connection)
    Base.metadata.create_all(connection)
    connection.execute(insert(Item), rows(stored))


def drop(connection: Connection) -> None:
    """Drop the tables."""
    Base.metadata.drop_all(connection)


def set_up_by_hand(engine: Engine) -> None:
    """Do for SQLite what create_engine does, as SQLAlchemy documents it.

    Source: https://docs.sqlalchemy.org/en/21/dialects/sqlite.html, "Enabling
    Non-Legacy SQLite Transactional Modes" and "Foreign Key Support". The recipe's
    BEGIN is left out in autocommit, which the recipe itself has no room for.
    """
    if engine.dialect.name != "sqlite":
        return

    def connect(connection: DBAPIConnection, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout = 5000")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    def begin(connection: Connection) -> None:
        driver = connection.connection.dbapi_connection
        if driver and not engine.dialect.detect_autocommit_setting(driver):
            connection.exec_driver_sql("BEGIN")

    event.listen(engine, "connect", connect)
    event.listen(engine, "begin", begin)
