"""Open SQLite for each side; all are told the same.

All have foreign keys, WAL, the same `synchronous` and a busy timeout of five seconds
(sqlite3's own); the stock engines are otherwise as SQLAlchemy makes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiosqlite
import sqlalchemy
import sqlalchemy.ext.asyncio
from sqlalchemy import event

import async_layers
from tests.benchmarks import bench_sqlite, bench_sqlite_async, bench_sqlite_raw

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AsyncExitStack, ExitStack
    from pathlib import Path

    from sqlalchemy import Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection

STOCK, OURS = "stock", "ours"
TO_THREAD_STOCK, TO_THREAD_OURS = "to_thread stock", "to_thread ours"
ASYNC_STOCK, ASYNC_OURS = "async stock", "async ours"
ALONE, HOP = "aiosqlite alone", "hop"


def open_blocking(
    stack: ExitStack, side: str, path: Path, what: str, synchronous: str
) -> Callable[[], None]:
    if side in {STOCK, TO_THREAD_STOCK}:
        engine = sqlalchemy.create_engine(f"sqlite+pysqlite:///{path}")
        _set_up_stock(engine)
    else:
        engine = async_layers.create_engine(f"sqlite:///{path}")
    _tell(engine, f"PRAGMA synchronous = {synchronous}")
    stack.callback(engine.dispose)
    return stack.enter_context(bench_sqlite.UNITS[what](engine))


async def open_asyncio(
    opened: AsyncExitStack, side: str, path: Path, what: str, synchronous: str
) -> Callable[[], Awaitable[None]]:
    if side == ASYNC_STOCK:
        engine = sqlalchemy.ext.asyncio.create_async_engine(
            f"sqlite+aiosqlite:///{path}"
        )
        _set_up_stock(engine.sync_engine)
    else:
        engine = async_layers.create_async_engine(f"sqlite:///{path}")
    _tell(engine.sync_engine, f"PRAGMA synchronous = {synchronous}")
    opened.push_async_callback(engine.dispose)
    return await opened.enter_async_context(bench_sqlite_async.UNITS[what](engine))


async def open_alone(
    opened: AsyncExitStack, path: Path, what: str, synchronous: str
) -> tuple[Callable[[], Awaitable[None]], Callable[[], Awaitable[None]]]:
    """Return the unit of aiosqlite alone, and a trip of its own."""
    connection = await opened.enter_async_context(aiosqlite.connect(path))
    for pragma in (*_STOCK_PRAGMAS, f"PRAGMA synchronous = {synchronous}"):
        await connection.execute(pragma)
    return (
        bench_sqlite_raw.UNITS[what](connection),
        bench_sqlite_raw.hop(connection),
    )


_STOCK_PRAGMAS = ("PRAGMA journal_mode = WAL", "PRAGMA foreign_keys = ON")


def _set_up_stock(engine: Engine) -> None:
    for pragma in _STOCK_PRAGMAS:
        _tell(engine, pragma)


def _tell(engine: Engine, pragma: str) -> None:
    def connect(connection: DBAPIConnection, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute(pragma)
        cursor.close()

    event.listen(engine, "connect", connect)
