"""What an error says about running its transaction again, driver by driver."""

from __future__ import annotations

import sqlite3
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import asyncpg
import psycopg
import pymysql
import pytest
from asyncmy import errors as asyncmy_errors
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, StatementError

from async_layers import Retry
from async_layers._retry.reasons import code_of, reason_of
from async_layers.deadline import DeadlineExceeded

if TYPE_CHECKING:
    from async_layers._retry.reasons import Reason


def wrapped(original: Exception, *, invalidated: bool = False) -> DBAPIError:
    """Return SQLAlchemy's error around a driver's."""
    return DBAPIError("SELECT 1", {}, original, connection_invalidated=invalidated)


def of_sqlite(name: str) -> Exception:
    """Return an error of SQLite with a code."""
    error = sqlite3.OperationalError("planted")
    error.sqlite_errorname = name
    error.sqlite_errorcode = getattr(sqlite3, name)
    return error


class OfAsyncpg(AsyncAdapt_asyncpg_dbapi.Error):
    """An error of the stock dialect on asyncpg."""

    def __init__(self, sqlstate: str | None, message: str = "planted") -> None:
        """Take its SQLSTATE."""
        super().__init__(message)
        self.sqlstate = self.pgcode = sqlstate


def caused_by(error: Exception, cause: Exception) -> Exception:
    """Return an error that was raised from another."""
    error.__cause__ = cause
    return error


def found(error: Exception, *, began: bool = True, **policy: Any) -> str | None:
    """Return why an error is run again, None for not."""
    reason: Reason | None = reason_of(error, Retry(**policy), began=began)
    return None if reason is None else str(reason)


PLAN = OfAsyncpg("0A000")
PLAN.diag = SimpleNamespace(source_function="RevalidateCachedQuery")
OTHER = OfAsyncpg("0A000")
OTHER.diag = SimpleNamespace(source_function="transformSelectStmt")

AGAIN: dict[str, tuple[Exception, bool]] = {
    "serialization failure, 40001": (psycopg.errors.SerializationFailure(), False),
    "deadlock, 40P01": (psycopg.errors.DeadlockDetected(), False),
    "connection lost, 57P01": (psycopg.errors.AdminShutdown(), True),
    "connection lost, 57P02": (OfAsyncpg("57P02"), False),
    "connection lost, 08006": (OfAsyncpg("08006"), False),
    "connection lost, 25P03": (OfAsyncpg("25P03"), True),
    "connection lost": (OfAsyncpg(None), True),
    "cached plan is stale, 0A000": (PLAN, False),
    "cached plan is stale, XX000": (
        OfAsyncpg("XX000", "cache lookup failed for type 16385"),
        False,
    ),
    "cached plan is stale": (
        caused_by(OfAsyncpg(None), asyncpg.OutdatedSchemaCacheError("planted")),
        False,
    ),
    "database is busy, SQLITE_BUSY": (of_sqlite("SQLITE_BUSY"), False),
    "database is busy, SQLITE_BUSY_SNAPSHOT": (
        of_sqlite("SQLITE_BUSY_SNAPSHOT"),
        False,
    ),
    "table is locked, SQLITE_LOCKED": (of_sqlite("SQLITE_LOCKED"), False),
    "table is locked, SQLITE_LOCKED_SHAREDCACHE": (
        of_sqlite("SQLITE_LOCKED_SHAREDCACHE"),
        False,
    ),
    "deadlock, 1213": (pymysql.err.OperationalError(1213, "planted"), False),
    "record changed, 1020": (asyncmy_errors.OperationalError(1020, "planted"), False),
    "connection lost, 2013": (asyncmy_errors.OperationalError(2013, ""), True),
    "connection lost, 2006": (pymysql.err.OperationalError(2006, ""), False),
    "connection lost, 4031": (pymysql.err.OperationalError(4031, ""), True),
}


@pytest.mark.parametrize("reason", AGAIN)
def test_what_another_attempt_may_mend_is_run_again(reason: str) -> None:
    """Known by the SQLSTATE, by SQLite's or MySQL's code, or as a lost connection."""
    original, invalidated = AGAIN[reason]
    assert reason == found(wrapped(original, invalidated=invalidated))


FINAL: dict[str, Exception] = {
    "unique": wrapped(psycopg.errors.UniqueViolation()),
    "cancelled by the server": wrapped(psycopg.errors.QueryCanceled()),
    "time of the transaction": wrapped(OfAsyncpg("25P04"), invalidated=True),
    "dropped database": wrapped(OfAsyncpg("57P04"), invalidated=True),
    "not supported": wrapped(OTHER),
    "internal": wrapped(OfAsyncpg("XX000", "planted")),
    "a lock of PostgreSQL": wrapped(psycopg.errors.LockNotAvailable()),
    "a lock of MySQL": wrapped(pymysql.err.OperationalError(1205, "planted")),
    "full": wrapped(of_sqlite("SQLITE_FULL")),
    "duplicate": wrapped(pymysql.err.IntegrityError(1062, "planted")),
    "no number": wrapped(pymysql.err.InterfaceError("planted")),
    "nothing": wrapped(pymysql.err.InterfaceError()),
    "no driver's": StatementError("planted", "SELECT 1", {}, ValueError()),
    "another library's": ConnectionRefusedError("planted"),
    "the program's": LookupError("planted"),
    "the deadline's": DeadlineExceeded("planted"),
    "without an original": InterfaceError("planted", None, None),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", FINAL)
def test_what_would_fail_again_is_final(name: str) -> None:
    """So it would with a hundred attempts."""
    assert None is found(FINAL[name])


@pytest.mark.parametrize(
    ("original", "reason"),
    [
        (psycopg.errors.LockNotAvailable(), "lock timeout, 55P03"),
        (pymysql.err.OperationalError(1205, "planted"), "lock timeout, 1205"),
        (asyncmy_errors.OperationalError(3572, "planted"), "lock timeout, 3572"),
    ],
)
def test_a_lock_timeout_is_run_again_where_asked(
    original: Exception, reason: str
) -> None:
    """It has waited already: `lock_timeouts` says whether to wait again."""
    assert reason == found(wrapped(original), lock_timeouts=True)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("planted"),
        TimeoutError(),
        wrapped(caused_by(OfAsyncpg(None), OSError("planted"))),
        OperationalError("", None, psycopg.OperationalError("connection refused")),
        wrapped(pymysql.err.OperationalError(2003, "planted")),
    ],
)
def test_a_server_that_is_not_there_is_asked_again(error: Exception) -> None:
    """While it connects, the error of a socket is one of the database."""
    assert (found(error, began=False) or "").startswith("cannot connect")


@pytest.mark.parametrize(
    "error",
    [
        DeadlineExceeded("planted"),
        LookupError("planted"),
        wrapped(OfAsyncpg(None)),
        wrapped(psycopg.OperationalError("FATAL:  no such user")),
    ],
)
def test_what_connecting_again_does_not_mend_is_final(error: Exception) -> None:
    """The deadline is over, or the server has said no."""
    assert None is found(error, began=False)


def test_an_error_of_a_driver_that_is_not_wrapped_is_known() -> None:
    """A stream of stock asyncpg lets it through as it is."""
    bare = asyncpg.SerializationError("planted")
    assert "serialization failure, 40001" == found(bare)


def test_what_retryable_says_is_added() -> None:
    """It is asked for what is not known, and its code is told."""
    asked = list[Exception]()

    def retryable(error: Exception) -> bool:
        asked.append(error)
        return True

    unique, deadlock = (
        wrapped(psycopg.errors.UniqueViolation()),
        wrapped(psycopg.errors.DeadlockDetected()),
    )
    assert "as retryable says, 23505" == found(unique, retryable=retryable)
    assert "deadlock, 40P01" == found(deadlock, retryable=retryable)
    assert [unique] == asked


def test_a_group_has_a_reason_if_each_of_its_errors_has_one() -> None:
    """Nested ones too."""
    deadlock = wrapped(psycopg.errors.DeadlockDetected())
    inner = ExceptionGroup("inner", [deadlock])
    assert "deadlock, 40P01" == found(ExceptionGroup("outer", [deadlock, inner]))
    assert None is found(ExceptionGroup("outer", [inner, LookupError()]))


def test_a_code_is_what_the_driver_has() -> None:
    """An SQLSTATE, SQLite's name, MySQL's number, or nothing."""
    assert ["40P01", "SQLITE_FULL", 1062, None] == [
        code_of(error)
        for error in (
            wrapped(psycopg.errors.DeadlockDetected()),
            FINAL["full"],
            FINAL["duplicate"],
            LookupError(),
        )
    ]
