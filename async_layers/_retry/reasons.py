"""What an error says about running its transaction again; no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from async_layers._sqlite import primary_code

if TYPE_CHECKING:
    from async_layers._retry.policy import Retry

_LOST: Final = "connection lost"
_LOCK_TIMEOUT: Final = "lock timeout"
_STALE: Final = "cached plan is stale"
_CONNECTING: Final = "cannot connect"

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_SQLSTATES: Final = {
    "40001": "serialization failure",
    "40P01": "deadlock",
    "55P03": _LOCK_TIMEOUT,
    "08000": _LOST,
    "08001": _LOST,
    "08003": _LOST,
    "08006": _LOST,
    "57P01": _LOST,
    "57P02": _LOST,
    "57P03": "server is starting or stopping",
    "53300": "too many connections",
}
# The connection is lost, and would be again.
_HOPELESS: Final = frozenset({"25P04", "57P04"})

# https://mariadb.com/kb/en/mariadb-error-code-reference/ and MySQL's of the same name.
_NUMBERS: Final = {
    1020: "record changed",
    1040: "too many connections",
    1053: "server is starting or stopping",
    1203: "too many connections",
    1205: _LOCK_TIMEOUT,
    1213: "deadlock",
    1927: _LOST,
    2002: _CONNECTING,
    2003: _CONNECTING,
    2006: _LOST,
    2013: _LOST,
    3572: _LOCK_TIMEOUT,
}

# https://www.sqlite.org/rescode.html: without its extension.
_SQLITE: Final = {5: "database is busy", 6: "table is locked"}

_MYSQL: Final = frozenset({"pymysql", "asyncmy", "aiomysql"})
_DRIVERS: Final = _MYSQL | {"asyncpg", "psycopg", "sqlite3", "aiosqlite"}

# asyncpg's, of what it has prepared, or knows of a type.
_STALE_NAMES: Final = frozenset(
    {"InvalidCachedStatementError", "OutdatedSchemaCacheError"}
)


class Reason(NamedTuple):
    """Why a transaction is run again, with the code by which that was seen."""

    text: str
    code: str | int | None = None

    def __str__(self) -> str:
        return self.text if self.code is None else f"{self.text}, {self.code}"


def reason_of(error: Exception, retry: Retry, *, began: bool) -> Reason | None:
    """Return why to run a transaction again after an error, or None.

    `began` says whether the function was reached: if not, there is no more to repeat
    than connecting. A group has a reason if each of its exceptions has one.
    """
    if isinstance(error, ExceptionGroup):
        group = cast("ExceptionGroup[Exception]", error)
        found = [reason_of(one, retry, began=began) for one in group.exceptions]
        return None if None in found else found[0]
    reason = _of_driver(error, began=began)
    if reason is not None and reason.text == _LOCK_TIMEOUT and not retry.lock_timeouts:
        reason = None
    if reason is None and retry.retryable is not None and retry.retryable(error):
        return Reason("as retryable says", code_of(error))
    return reason


def code_of(error: Exception) -> str | int | None:
    """Return the SQLSTATE of an error, or what its driver has in its place."""
    return _code(_original(error))


def _of_driver(error: Exception, *, began: bool) -> Reason | None:
    original = _original(error)
    if original is None:
        # Stock asyncpg lets the errors of its sockets through while it connects.
        theirs = isinstance(error, OSError) and not isinstance(error, SQLAlchemyError)
        return Reason(_CONNECTING) if theirs and not began else None
    code = _code(original)
    if code in _HOPELESS:
        return None
    if text := _text(original, code):
        return Reason(text, code)
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return Reason(_LOST, code)
    if not began and code is None and _is_refused_link(original):
        return Reason(_CONNECTING)
    return None


def _original(error: Exception) -> Any:  # noqa: ANN401 - the driver's
    """Return the driver's error, or None; some of its own are not wrapped."""
    if isinstance(error, DBAPIError):
        return error.orig
    return error if _driver_of(error) in _DRIVERS else None


def _driver_of(error: object) -> str:
    return type(error).__module__.partition(".")[0]


def _code(original: Any) -> str | int | None:  # noqa: ANN401 - the driver's
    if original is None:
        return None
    if name := getattr(original, "sqlite_errorname", None):
        return str(name)
    if _driver_of(original) in _MYSQL:
        number = original.args[0] if original.args else None
        return number if isinstance(number, int) else None
    return cast("str | None", getattr(original, "sqlstate", None))


def _text(original: Any, code: str | int | None) -> str | None:  # noqa: ANN401 - its
    if isinstance(code, int):
        return _NUMBERS.get(code)
    if (number := primary_code(original)) is not None:
        return _SQLITE.get(number)
    return _SQLSTATES.get(code or "") or (_STALE if _is_stale(original, code) else None)


def _is_stale(original: Any, code: str | None) -> bool:  # noqa: ANN401 - the driver's
    """Say whether what was prepared has become invalid; its driver forgets it now."""
    classes = {type(original).__name__, type(original.__cause__).__name__}
    if classes & _STALE_NAMES:
        return True
    diagnostic = getattr(original, "diag", None)
    if code == "0A000":  # of which the message may be in any language
        function = getattr(diagnostic, "source_function", None)
        return function == "RevalidateCachedQuery"
    return code == "XX000" and "cache lookup failed for type" in str(original)


def _is_refused_link(original: Any) -> bool:  # noqa: ANN401 - the driver's
    """Say whether a driver found no server, or one that is busy with itself.

    A connection that fails has no SQLSTATE in psycopg, but the server's words.
    """
    if _driver_of(original) == "psycopg":
        message = str(original)
        return "FATAL" not in message or any(one in message for one in _BUSY)
    return isinstance(original.__cause__, OSError)


_BUSY: Final = (
    "starting up",
    "shutting down",
    "in recovery mode",
    "not yet accepting connections",
    "too many clients",
    "connection slots",
)
