"""What a dialect on asyncpg has to do that one on psycopg leaves to its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.dialects.postgresql import BIT
from sqlalchemy.dialects.postgresql.asyncpg import (
    AsyncpgBit,
    PGDialect_asyncpg,
    PGExecutionContext_asyncpg,
)
from sqlalchemy.util.concurrency import await_

from async_layers._urls.libpq import to_asyncpg
from async_layers.drivers._postgresql import real, shape

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection
    from sqlalchemy.engine.interfaces import (
        DBAPIConnection,
        DBAPICursor,
    )
    from sqlalchemy.pool import PoolProxiedConnection

    from async_layers.drivers._postgresql.adapter import AsyncAdaptPostgreSQLConnection


class AdaptedBit(AsyncpgBit):
    """A string of bits; PostgreSQL says what is none."""

    def bind_processor(self, dialect: Any) -> Any:
        """Return what makes one of a text of zeros and ones."""
        stock: Any = super().bind_processor(dialect)  # type: ignore[no-untyped-call]

        def process(value: Any) -> Any:
            bits = not isinstance(value, str) or not value.strip("01")
            return stock(value) if bits else value

        return process


class AdaptedContext(PGExecutionContext_asyncpg):
    """One execution, with what asyncpg's cursors have to know of it."""

    def create_default_cursor(self) -> DBAPICursor:
        """Return a cursor that knows who has lent its connection."""
        cursor: Any = super().create_default_cursor()
        cursor.lent = self._dbapi_connection
        return cast("DBAPICursor", cursor)

    def create_server_side_cursor(self) -> DBAPICursor:
        """Return a cursor that fetches as many rows at first as are asked for."""
        cursor: Any = super().create_server_side_cursor()  # type: ignore[no-untyped-call]
        cursor.lent = self._dbapi_connection
        cursor.first = self.execution_options.get("yield_per") or cursor.first
        return cast("DBAPICursor", cursor)

    def pre_exec(self) -> None:
        """Prepare anew after a text that changes what is prepared."""
        super().pre_exec()  # type: ignore[no-untyped-call]
        if not self.isddl and shape.first_word(self.statement) in {"ALTER", "DROP"}:
            dialect = cast("AdaptedDialect", self.dialect)
            dialect._invalidate_schema_cache()  # type: ignore[no-untyped-call]  # noqa: SLF001


class AdaptedDialect(PGDialect_asyncpg):
    """SQLAlchemy's dialect of asyncpg, and what psycopg's connection does by itself."""

    supports_statement_cache = True
    # What it waits for are futures: COMMIT needs no task of its own to go on.
    is_kept = True
    supports_sane_multi_rowcount = True
    execution_ctx_cls = AdaptedContext
    colspecs = {**PGDialect_asyncpg.colspecs, BIT: AdaptedBit}  # noqa: RUF012

    _isolation_lookup: Any = {  # noqa: RUF012 - as SQLAlchemy's own
        "AUTOCOMMIT": "autocommit",
        "READ COMMITTED": "read_committed",
        "READ UNCOMMITTED": "read_uncommitted",
        "REPEATABLE READ": "repeatable_read",
        "SERIALIZABLE": "serializable",
    }

    @classmethod
    def import_dbapi(cls) -> Any:
        """Return the module of PEP 249."""
        # Not before it is needed.
        from async_layers.drivers._postgresql.dbapi import (  # noqa: PLC0415
            AsyncPostgreSQLDBAPI,
        )
        from async_layers.drivers._postgresql.untyped import asyncpg  # noqa: PLC0415

        return AsyncPostgreSQLDBAPI(asyncpg)  # type: ignore[no-untyped-call]

    def create_connect_args(self, url: URL) -> Any:
        """Return asyncpg's arguments, for libpq's keys too."""
        translated, more = to_asyncpg(url)
        stock: Any = super()
        arguments, named = stock.create_connect_args(translated)
        return arguments, {**named, **more}

    def on_connect(self) -> Any:
        """Return what tells a new connection its codecs."""
        stock: Any = super().on_connect()  # type: ignore[no-untyped-call]

        def connect(connection: AsyncAdaptPostgreSQLConnection) -> None:
            stock(connection)
            await_(real.set_codec(connection.driver))

        return connect

    def get_isolation_level(self, dbapi_connection: DBAPIConnection) -> Any:
        """Ask the server for the level, and leave it as idle as it was."""
        adapter = cast("AsyncAdaptPostgreSQLConnection", dbapi_connection)
        before = adapter.in_transaction()
        stock: Any = super()
        level = stock.get_isolation_level(dbapi_connection)
        if not before:
            adapter.rollback()
        return level

    def do_begin_twophase(self, connection: Connection, xid: Any) -> None:
        """Begin with the first statement, as any transaction; refuse autocommit."""
        del xid
        _adapter(connection).begin_two_phases()

    def do_prepare_twophase(self, connection: Connection, xid: Any) -> None:
        """Prepare the transaction."""
        _adapter(connection).prepare_transaction(xid)

    def do_rollback_twophase(
        self,
        connection: Connection,
        xid: Any,
        is_prepared: bool = True,  # noqa: FBT001, FBT002 - SQLAlchemy's
        recover: bool = False,  # noqa: FBT001, FBT002 - SQLAlchemy's
    ) -> None:
        """Roll a transaction back, prepared or not."""
        del recover
        if is_prepared:
            _adapter(connection).end_prepared("ROLLBACK", xid)
        else:
            _adapter(connection).rollback()

    def do_commit_twophase(
        self,
        connection: Connection,
        xid: Any,
        is_prepared: bool = True,  # noqa: FBT001, FBT002 - SQLAlchemy's
        recover: bool = False,  # noqa: FBT001, FBT002 - SQLAlchemy's
    ) -> None:
        """Commit a transaction, prepared or not."""
        del recover
        if is_prepared:
            _adapter(connection).end_prepared("COMMIT", xid)
        else:
            _adapter(connection).commit()

    def do_commit(self, dbapi_connection: PoolProxiedConnection) -> None:
        """Commit, unless it is not this user's connection any more."""
        _unwrapped(dbapi_connection).lent = dbapi_connection
        super().do_commit(dbapi_connection)  # type: ignore[no-untyped-call]

    def do_rollback(self, dbapi_connection: PoolProxiedConnection) -> None:
        """Roll back, unless it is not this user's connection any more."""
        adapter = _unwrapped(dbapi_connection)
        adapter.lent = dbapi_connection
        super().do_rollback(dbapi_connection)  # type: ignore[no-untyped-call]
        # It may have been skipped, in autocommit.
        adapter.lent = None

    def is_disconnect(self, e: Exception, connection: Any, cursor: Any) -> bool:
        """Say whether the connection is lost."""
        del e, cursor
        # None: another task has given it back to the pool.
        adapter = None if connection is None else _unwrapped(connection)
        return adapter is not None and bool(adapter.driver.is_closed())


def _adapter(connection: Connection) -> AsyncAdaptPostgreSQLConnection:
    return _unwrapped(connection.connection)


def _unwrapped(connection: Any) -> AsyncAdaptPostgreSQLConnection:
    """Return the adapter, which the pool may have wrapped."""
    adapter = getattr(connection, "dbapi_connection", connection)
    return cast("AsyncAdaptPostgreSQLConnection", adapter)
