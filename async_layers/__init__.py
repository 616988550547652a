"""SQLAlchemy's engine, connection and session in pairs, blocking and asyncio."""

from async_layers._sqlite import SQLiteOptions
from async_layers.connection import insert_rows, read, savepoint, stream, transaction
from async_layers.connection_async import (
    async_insert_rows,
    async_read,
    async_savepoint,
    async_stream,
    async_transaction,
)
from async_layers.engine import create_engine, engine_scope
from async_layers.engine_async import async_engine_scope, create_async_engine
from async_layers.session import sessionmaker, unit_of_work
from async_layers.session_async import async_sessionmaker, async_unit_of_work
from async_layers.trace import Event, Trace, trace

__all__ = [  # noqa: RUF022 - in the order of the layers
    "create_engine",
    "create_async_engine",
    "engine_scope",
    "async_engine_scope",
    "SQLiteOptions",
    "transaction",
    "async_transaction",
    "read",
    "async_read",
    "savepoint",
    "async_savepoint",
    "stream",
    "async_stream",
    "insert_rows",
    "async_insert_rows",
    "sessionmaker",
    "async_sessionmaker",
    "unit_of_work",
    "async_unit_of_work",
    "trace",
    "Trace",
    "Event",
]
