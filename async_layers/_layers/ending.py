"""How a COMMIT that failed has ended its transaction; no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.exc import DBAPIError

from async_layers.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Connection

# Of PostgreSQL: the server says itself that it does not know.
_UNKNOWN = frozenset({"08007", "40003"})

# The server ends the connection with an error of these severities, wherever the
# transaction was.
_LAST = frozenset({"FATAL", "PANIC"})


# CONNECTION_BAD and PQTRANS_INERROR of libpq-fe.h: the states of a connection, and of
# its transaction, for which psycopg makes an object and an Enum each time.
_BAD, _INERROR = 1, 3


def _fails_psycopg(driver: Any) -> bool:  # noqa: ANN401 - psycopg's
    """Look at libpq's two states."""
    link = driver.pgconn
    return bool(link.status == _BAD or link.transaction_status == _INERROR)


_FAILS: dict[str, Callable[[Any], bool]] = {
    "asyncpg": lambda driver: bool(driver.is_closed()),
    "psycopg": _fails_psycopg,
    "psycopg_async": _fails_psycopg,
}


def is_doomed(connection: Connection) -> bool:
    """Say whether COMMIT would only roll back: the transaction has failed already.

    Or there is nobody any more who could be told: the connection is known to be lost.
    """
    fairy = connection._dbapi_connection  # noqa: SLF001 - its property may connect
    dbapi = None if fairy is None else fairy.dbapi_connection
    if dbapi is None:
        return True
    fails = _FAILS.get(connection.dialect.driver)
    # Also of one that is detached from its pool.
    return fails is not None and fails(getattr(dbapi, "driver_connection", dbapi))


def is_undone(connection: Connection) -> bool:
    """Say whether the server has answered COMMIT with ROLLBACK.

    So does PostgreSQL where a statement has failed before. asyncpg does not tell such a
    transaction from another; our dialect has kept the answer.
    """
    fairy = connection._dbapi_connection  # noqa: SLF001 - as above
    return fairy is not None and getattr(fairy.dbapi_connection, "undone", False)


def of_failed_commit(connection: Connection, error: BaseException) -> Outcome:
    """Return how a transaction ended whose COMMIT raised.

    What the server answers is an answer: it has rolled back. Unknown is what it did
    not answer.
    """
    if connection.invalidated or connection.closed:
        return Outcome.UNKNOWN
    if connection.dialect.name == "postgresql" and isinstance(error, DBAPIError):
        return _of_postgresql(cast("Any", error.orig))
    return Outcome.ROLLED_BACK


def _of_postgresql(error: Any) -> Outcome:  # noqa: ANN401 - the driver's
    """Look at the server's words; an error of the driver alone has no SQLSTATE."""
    sqlstate = getattr(error, "sqlstate", None)
    severity = getattr(getattr(error, "diag", None), "severity_nonlocalized", None)
    if sqlstate is None or sqlstate in _UNKNOWN or severity in _LAST:
        return Outcome.UNKNOWN
    return Outcome.ROLLED_BACK


def of_all(outcomes: Iterable[Outcome | None]) -> Outcome | None:
    """Return the outcome of a transaction over several connections.

    Several that did not end alike have no outcome that anybody could rely on.
    """
    found = set(outcomes)
    return found.pop() if len(found) == 1 else Outcome.UNKNOWN
