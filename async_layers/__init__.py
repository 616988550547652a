"""SQLAlchemy's engine, connection and session in pairs, blocking and asyncio."""

from async_layers._layers.guard.errors import GuardError
from async_layers._layers.guard.handing import hand_over
from async_layers._layers.implicit import ImplicitIOError
from async_layers._positions import StandbyBehindError
from async_layers._postgresql import PostgreSQLOptions
from async_layers._retry.policy import Attempt, Retry
from async_layers._retry.run import attempt_number
from async_layers._sqlite import SQLiteOptions
from async_layers.connection import insert_rows, read, savepoint, stream, transaction
from async_layers.connection_async import (
    async_insert_rows,
    async_read,
    async_savepoint,
    async_stream,
    async_transaction,
)
from async_layers.deadline import DeadlineExceeded
from async_layers.engine import create_engine, engine_scope
from async_layers.engine_async import async_engine_scope, create_async_engine
from async_layers.hooks import on_commit
from async_layers.hooks_async import async_on_commit
from async_layers.outcome import Outcome
from async_layers.replicas import (
    Engines,
    create_engines,
    wait_for_position,
    wal_position,
)
from async_layers.replicas_async import (
    AsyncEngines,
    async_wait_for_position,
    async_wal_position,
    create_async_engines,
)
from async_layers.retry import run_transaction, run_unit_of_work
from async_layers.retry_async import async_run_transaction, async_run_unit_of_work
from async_layers.scope import Scope
from async_layers.scope_async import AsyncScope
from async_layers.session import sessionmaker, unit_of_work
from async_layers.session_async import async_sessionmaker, async_unit_of_work
from async_layers.trace import Event, Trace, trace

__all__ = [  # noqa: RUF022 - in the order of the layers
    "create_engine",
    "create_async_engine",
    "engine_scope",
    "async_engine_scope",
    "create_engines",
    "create_async_engines",
    "Engines",
    "AsyncEngines",
    "wal_position",
    "async_wal_position",
    "wait_for_position",
    "async_wait_for_position",
    "StandbyBehindError",
    "SQLiteOptions",
    "PostgreSQLOptions",
    "transaction",
    "async_transaction",
    "run_transaction",
    "async_run_transaction",
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
    "ImplicitIOError",
    "unit_of_work",
    "async_unit_of_work",
    "hand_over",
    "GuardError",
    "on_commit",
    "async_on_commit",
    "run_unit_of_work",
    "async_run_unit_of_work",
    "Retry",
    "Attempt",
    "attempt_number",
    "Scope",
    "AsyncScope",
    "Outcome",
    "DeadlineExceeded",
    "trace",
    "Trace",
    "Event",
]
