"""What a transaction of either world tells its database; no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from sqlalchemy import Connection, Engine, TextClause, text
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from async_layers._sqlite import is_ours
from async_layers._wire import in_transaction

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection, IsolationLevel


class Plan(NamedTuple):
    """The execution options of a transaction, and the statement that it sends first.

    MySQL and Oracle have no option for reading only, and are told by a statement.
    """

    options: dict[str, object]
    first: TextClause | None = None


_NOTHING = Plan({})


def plan_transaction(
    engine: Engine | AsyncEngine,
    isolation_level: IsolationLevel | None,
    *,
    read_only: bool,
    write: bool,
) -> Plan:
    """Return what a transaction of an engine begins with.

    Raises `InvalidRequestError` for what would leave no transaction, and for
    what the engine cannot promise.
    """
    _refuse_autocommit(engine, isolation_level)
    if isolation_level is None and not read_only and not write:
        return _NOTHING
    if read_only and write:
        raise InvalidRequestError(
            "read_only=True and write=True are refused together; write one of them."
        )
    options = dict[str, object]()
    if isolation_level is not None:
        options["isolation_level"] = isolation_level
    database = engine.dialect.name
    if database == "sqlite" and (read_only or write):
        _require_our_sqlite(engine)
        options |= {"sqlite_query_only": True} if read_only else _WRITE
    if read_only and database == "postgresql":
        options["postgresql_readonly"] = True
    told = read_only and database in {"mysql", "mariadb", "oracle"}
    return Plan(options, text("SET TRANSACTION READ ONLY") if told else None)


_WRITE = {"sqlite_begin": "IMMEDIATE"}


def plan_unit_of_work(
    bind: object,
    isolation_level: IsolationLevel | None,
    *,
    read_only: bool,
    write: bool,
    deadline: float | None = None,
) -> Plan:
    """Return what a unit of work begins with; `bind` is its session's."""
    if isinstance(bind, Engine | AsyncEngine):
        return plan_transaction(bind, isolation_level, read_only=read_only, write=write)
    if not (isolation_level or read_only or write or deadline is not None):
        return _NOTHING
    raise InvalidRequestError(
        "An option of the unit of work is refused: seen a session bound to "
        f"{_kind(bind)}, whose transaction is not its own; write a factory "
        "from sessionmaker(engine)."
    )


def _kind(bind: object) -> str:
    """Name a class of SQLAlchemy's that ours may stand before."""
    is_connection = isinstance(bind, Connection | AsyncConnection)
    return "Connection" if is_connection else type(bind).__name__


def _refuse_autocommit(
    engine: Engine | AsyncEngine, level: IsolationLevel | None
) -> None:
    """Refuse an engine, or an argument, that takes a transaction apart."""
    level = (
        level
        or engine.get_execution_options().get("isolation_level")
        or engine.dialect._on_connect_isolation_level  # noqa: SLF001 - has no other name
    )
    if level == "AUTOCOMMIT":
        raise InvalidRequestError(
            "A transaction is refused: seen isolation_level='AUTOCOMMIT', which takes "
            "it apart; write read(engine), or another isolation_level."
        )


def _require_our_sqlite(engine: Engine | AsyncEngine) -> None:
    """Refuse a dialect of SQLite that knows only one way to begin."""
    if not is_ours(engine.dialect.name, engine.dialect.driver):
        raise InvalidRequestError(
            f"read_only and write are refused: seen {engine.dialect.driver!r}, "
            "whose SQLite knows neither; write an engine of 'sqlite://' from "
            "create_engine() or create_async_engine() of async_layers."
        )


def refuse_autocommit(connection: Connection | AsyncConnection) -> None:
    """Refuse a savepoint where there is no transaction to hold it."""
    sync = cast("Connection | None", getattr(connection, "sync_connection", connection))
    if sync is None or sync.closed or sync.invalidated:
        return  # begin_nested() says so
    pooled = sync.connection
    try:
        autocommit = sync.dialect.detect_autocommit_setting(
            cast("DBAPIConnection", pooled.dbapi_connection)
        )
    except NotImplementedError:  # a dialect that does not tell
        return
    if autocommit and not in_transaction(pooled.driver_connection):
        raise InvalidRequestError(
            "A savepoint is refused: seen a connection in AUTOCOMMIT, which has no "
            "transaction; write transaction(engine) around it."
        )
