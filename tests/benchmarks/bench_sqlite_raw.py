"""What is measured on SQLite, with aiosqlite alone: no pool, no compiler, no ORM.

The connection stays open, and each unit takes the fewest trips to its thread.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from sqlalchemy.dialects.sqlite import dialect

from tests.benchmarks._table import ALL, INSERT, LOADED_AT_ONCE, ONE, Item, one_row

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiosqlite import Connection

_ONE, _OBJECT, _ALL, _INSERT = (
    str(statement.compile(dialect=dialect()))
    for statement in (ONE, ALL.where(Item.id == 1), ALL, INSERT)
)


def hop(connection: Connection) -> Callable[[], Awaitable[None]]:
    """Take one trip to aiosqlite's thread and back, and do nothing there."""

    def nothing() -> None:
        pass

    async def unit() -> None:
        await connection._execute(nothing)  # type: ignore[no-untyped-call]

    return unit


def select(connection: Connection) -> Callable[[], Awaitable[None]]:
    """SELECT a row."""

    async def unit() -> None:
        await connection.execute_fetchall(_ONE, (1,))

    return unit


def get(connection: Connection) -> Callable[[], Awaitable[None]]:
    """SELECT the columns of an object by its primary key."""

    async def unit() -> None:
        await connection.execute_fetchall(_OBJECT, (1,))

    return unit


def insert(connection: Connection) -> Callable[[], Awaitable[None]]:
    """INSERT a row, COMMIT."""
    numbers = count(1)

    async def unit() -> None:
        await connection.execute(_INSERT, tuple(one_row(next(numbers)).values()))
        await connection.commit()

    return unit


def many(connection: Connection) -> Callable[[], Awaitable[None]]:
    """INSERT rows with executemany, ROLLBACK."""
    given = [tuple(row.values()) for row in LOADED_AT_ONCE]

    async def unit() -> None:
        await connection.executemany(_INSERT, given)
        await connection.rollback()

    return unit


def stream(connection: Connection) -> Callable[[], Awaitable[None]]:
    """Read all rows in batches."""

    async def unit() -> None:
        async with connection.execute(_ALL) as cursor:
            while await cursor.fetchmany(1000):
                pass

    return unit


UNITS = {
    "select": select,
    "connect": select,
    "autocommit": select,
    "get": get,
    "insert": insert,
    "many": many,
    "stream": stream,
}
