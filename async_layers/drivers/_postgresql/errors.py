"""asyncpg's errors as psycopg's: PEP 249's classes by SQLSTATE.

The original stays reachable: `driver_exception` of SQLAlchemy's error.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi

from async_layers.drivers._postgresql.sqlstate import class_of
from async_layers.drivers._postgresql.untyped import asyncpg

if TYPE_CHECKING:
    from collections.abc import Mapping

_DBAPI: Any = AsyncAdapt_asyncpg_dbapi
# What the server says; asyncpg has other classes for its SQLSTATEs 01 and 02.
_SERVER = (asyncpg.PostgresError, asyncpg.PostgresWarning)

# psycopg's names (https://www.psycopg.org/psycopg3/docs/api/objects.html) of the
# fields of an error, by the letter that the protocol gives them, and asyncpg's.
_FIELDS: Final[dict[str, tuple[str, str]]] = {
    "severity": ("S", "severity"),
    "severity_nonlocalized": ("V", "severity_en"),
    "sqlstate": ("C", "sqlstate"),
    "message_primary": ("M", "message"),
    "message_detail": ("D", "detail"),
    "message_hint": ("H", "hint"),
    "statement_position": ("P", "position"),
    "internal_position": ("p", "internal_position"),
    "internal_query": ("q", "internal_query"),
    "context": ("W", "context"),
    "schema_name": ("s", "schema_name"),
    "table_name": ("t", "table_name"),
    "column_name": ("c", "column_name"),
    "datatype_name": ("d", "data_type_name"),
    "constraint_name": ("n", "constraint_name"),
    "source_file": ("F", "server_source_filename"),
    "source_line": ("L", "server_source_line"),
    "source_function": ("R", "server_source_function"),
}
# What has no SQLSTATE, the particular before the general.
_NAMES: Final[tuple[tuple[tuple[type[Exception], ...], str], ...]] = (
    (
        (OSError, EOFError, TimeoutError, asyncpg.PostgresConnectionError),
        "OperationalError",
    ),
    (_SERVER, "DataError"),
    ((asyncpg.InternalClientError,), "InternalClientError"),
    # A value that no Python object can hold, such as a date before the year 1.
    ((OverflowError, ValueError), "DataError"),
)


class Diagnostic:
    """What the server says of an error, by psycopg's names; None: it says nothing."""

    def __init__(self, fields: Mapping[str, str | None]) -> None:
        self._fields = fields

    def __getattr__(self, name: str) -> str | None:
        """Return a field."""
        if name not in _FIELDS:
            raise AttributeError(name)
        return self._fields.get(_FIELDS[name][0])


def emulated(
    error: Exception,
    *,
    connecting: bool = False,
    closed: bool = False,
    last_words: Mapping[str, str] = {},
) -> Exception | None:
    """Return the error of PEP 249 for one of asyncpg; None if it is none of a driver.

    `connecting`, `closed`: what has no SQLSTATE is an OperationalError where there is
    no connection yet, or none any more; while connecting all is, as in psycopg.
    `last_words` are the fields of the error that the server ended the connection
    with, where asyncpg knows nothing of it.
    """
    said: Any = error
    if isinstance(said, _DBAPI.Error):
        return error
    lost = asyncpg.ConnectionDoesNotExistError
    if isinstance(error, lost) and isinstance(error.__cause__, _SERVER):
        said = error.__cause__
    fields = _fields(said)
    if not fields.get("C") and last_words:
        fields = dict(last_words)
    name = _class_of(said, fields.get("C"), closed=closed)
    if connecting and name is not None:
        name = "OperationalError"
    return None if name is None else _made(name, _message(said, fields), error, fields)


def refused(message: str, name: str, error: Exception | None = None) -> Exception:
    """Return an error of ours, of which the server knows nothing."""
    # Users ask for the error of the driver, and one of asyncpg's has to be there.
    original = error or getattr(asyncpg, name, asyncpg.InterfaceError)(message)
    return _made(name, message, original, {})


def _made(
    name: str, message: str, error: Exception | None, fields: Mapping[str, str | None]
) -> Exception:
    made: Any = _kept(name)(message, error)
    # One of SQLAlchemy's classes drops the original, and with it the SQLSTATE.
    made.orig = error
    made.pgcode = made.sqlstate = fields.get("C")
    made.detail = fields.get("D")
    made.diag = Diagnostic(fields)
    return made  # type: ignore[no-any-return]


class _Kept(Exception):  # noqa: N818 - a part of each class
    """Keep what the server said when an error is pickled, for another process."""

    orig: Exception | None
    diag: Diagnostic

    def __reduce__(self) -> tuple[Any, ...]:
        """Make it again from its parts."""
        fields = self.diag._fields
        return _made, (type(self).__name__, self.args[0], self.orig, dict(fields))


@cache
def _kept(name: str) -> Any:
    """Return the subclass of SQLAlchemy's class, of the same name."""
    stock = getattr(_DBAPI, name)
    return type(name, (_Kept, stock), {"__module__": stock.__module__})


def _fields(error: Any) -> dict[str, str | None]:
    """Return the server's fields of an error, empty where the server sent none."""
    if not isinstance(error, _SERVER) or error.severity is None:
        code = getattr(error, "sqlstate", None) if _is_of_protocol(error) else None
        return {"C": code} if code else {}
    return {letter: getattr(error, name) for letter, name in _FIELDS.values()}


def _is_of_protocol(error: Exception) -> bool:
    """Say whether asyncpg, or we, say what the server would, with its SQLSTATE."""
    kinds = (asyncpg.NoActiveSQLTransactionError, asyncpg.InvalidCursorNameError)
    return isinstance(error, kinds)


def is_of_this_side(error: Any) -> bool:
    """Say whether an error was raised here, and the server has heard of nothing."""
    if isinstance(error, asyncpg.PostgresError):
        return error.severity is None
    return isinstance(error, (_DBAPI.Error, asyncpg.InterfaceError))


def is_unsent(error: Any) -> bool:
    """Say whether asyncpg refused a value, and sent nothing."""
    if isinstance(error, asyncpg.InterfaceError):
        return str(error).startswith("query argument")
    return isinstance(error, asyncpg.DataError) and error.severity is None


def _class_of(error: Exception, sqlstate: str | None, *, closed: bool) -> str | None:
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return "InvalidCachedStatementError"
    if sqlstate:
        return class_of(sqlstate)
    if isinstance(error, asyncpg.InterfaceError) and not closed:
        return _class_of_interface_error(str(error))
    if closed:
        return "OperationalError"
    return next((name for kinds, name in _NAMES if isinstance(error, kinds)), None)


def _class_of_interface_error(message: str) -> str:
    if "closed" in message:
        return "OperationalError"
    if message.startswith("the server expects"):
        return "ProgrammingError"
    return "InterfaceError"


def _message(error: Exception, fields: Mapping[str, str | None]) -> str:
    """Return what the server says, as psycopg shows it, or else what asyncpg says."""
    if message := fields.get("M"):
        for letter, name in (("D", "DETAIL"), ("H", "HINT"), ("W", "CONTEXT")):
            if fields.get(letter):
                message = f"{message}\n{name}:  {fields[letter]}"
        return message
    if isinstance(error, TimeoutError):
        return "no answer in the time that was given (timeout, command_timeout)"
    if isinstance(error, (OverflowError, ValueError)):
        return (
            f"A row is refused: seen what no value of Python is ({error}); read it as "
            "text, with cast(column, String)."
        )
    return str(error) or type(error).__name__
