"""What a driver's connection says of its transaction, without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Dialect


class _SQLite(Protocol):
    in_transaction: bool


class Control(Protocol):
    """What the dialects of ours know of a connection's transaction.

    `begin`: the words of its BEGIN, also of one that was refused. `began`: it was
    not, and its end was not asked for yet, whatever the database did meanwhile.
    """

    begin: str | None
    began: bool


class _PGconn(Protocol):
    transaction_status: int


class _Info(Protocol):
    backend_pid: int


class _Psycopg(Protocol):
    info: _Info
    pgconn: _PGconn


class _Asyncpg(Protocol):
    def is_closed(self) -> bool: ...
    def is_in_transaction(self) -> bool: ...
    def get_server_pid(self) -> int: ...


# libpq's PQTRANS_ACTIVE, PQTRANS_INTRANS and PQTRANS_INERROR.
_PSYCOPG_IN_TRANSACTION = {1, 2, 3}
# The protocol's SERVER_STATUS_IN_TRANS.
_MYSQL_IN_TRANSACTION = 1


def driver_of(connection: object) -> str:
    """Return the package that a driver's connection comes from: `psycopg`."""
    return type(connection).__module__.partition(".")[0]


def in_transaction(connection: object) -> bool | None:
    """Say whether the server has a transaction open on a driver's connection.

    The answer comes from what the server last told the driver. None: this
    driver does not say (or is not known here).
    """
    return asking(type(connection))(connection)


def asking(class_: type) -> Callable[[object], bool | None]:
    """Return how a connection of a class is asked; users have classes of their own."""
    packages = (base.__module__.partition(".")[0] for base in class_.__mro__)
    return next((_ASKING[name] for name in packages if name in _ASKING), _unknown)


def control_of(dialect: Dialect, dbapi_connection: object) -> Control | None:
    """Return what a dialect of ours knows of a connection; None: it is not ours."""
    find = cast(
        "Callable[[object], Control] | None", getattr(dialect, "control_of", None)
    )
    return find(dbapi_connection) if find else None


def _sqlite(connection: object) -> bool:
    """Ask for a property that raises once the connection is closed."""
    try:
        return cast("_SQLite", connection).in_transaction
    except ValueError:  # aiosqlite's
        return False
    except Exception as error:
        import sqlite3  # noqa: PLC0415 - 5 ms that others need not pay

        if isinstance(error, sqlite3.ProgrammingError):
            return False
        raise  # pragma: no cover - no other is known


def _psycopg(connection: object) -> bool:
    pgconn = cast("_Psycopg", connection).pgconn
    return pgconn.transaction_status in _PSYCOPG_IN_TRANSACTION


def _asyncpg(connection: object) -> bool:
    asyncpg = cast("_Asyncpg", connection)
    return not asyncpg.is_closed() and asyncpg.is_in_transaction()


def _mysql(connection: object) -> bool | None:
    status = cast("int | None", getattr(connection, "server_status", None))
    return None if status is None else bool(status & _MYSQL_IN_TRANSACTION)


def _unknown(_: object) -> None:
    return None


_ASKING: dict[str, Callable[[object], bool | None]] = {
    "sqlite3": _sqlite,
    "aiosqlite": _sqlite,
    "psycopg": _psycopg,
    "asyncpg": _asyncpg,
    "pymysql": _mysql,
    "aiomysql": _mysql,
    "asyncmy": _mysql,
}


def backend_pid(connection: object) -> int | None:
    """Return the process id of a PostgreSQL backend, None for other databases."""
    driver = driver_of(connection)
    if driver == "psycopg":
        return cast("_Psycopg", connection).info.backend_pid
    if driver == "asyncpg":
        return cast("_Asyncpg", connection).get_server_pid()
    return None
