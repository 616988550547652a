"""Cases of values and types: what the server stores for them, or how it refuses."""

from __future__ import annotations

import datetime as dt
import enum
import ipaddress
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Column, MetaData, Table
from sqlalchemy.exc import DBAPIError, StatementError

from tests.postgresql._dialects import OURS_ASYNC

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sqlalchemy import Connection
    from sqlalchemy.types import TypeEngine

_T = TypeVar("_T")

# What is wrong with stock asyncpg.
CHANGES: Final = "asyncpg changes the value before it is sent"
REFUSES: Final = "asyncpg refuses it before it is sent, and the transaction lives on"
TAKES: Final = "asyncpg makes another type of it, which the server takes"
CLASSLESS: Final = "the server's error has no class of PEP 249"


class Refused(NamedTuple):
    """How a value is refused, and whether that ends the transaction."""

    error: str
    sqlstate: str
    aborted: bool = True


OUT_OF_RANGE: Final = Refused("DataError", "22003")
UNREADABLE: Final = Refused("DataError", "22P02")
NO_TIME: Final = Refused("DataError", "22007")
TOO_LONG: Final = Refused("DataError", "22001")
MISORDERED: Final = Refused("DataError", "22000")
NO_CAST: Final = Refused("ProgrammingError", "42846")
MISMATCH: Final = Refused("ProgrammingError", "42804")
UNSUPPORTED: Final = Refused("NotSupportedError", "0A000")
ZERO_BYTE: Final = Refused("DataError", "22021")
# These the client refuses, in psycopg too: a list of several types, and what has no
# offset; and what it does not know.
MIXED: Final = Refused("DataError", "", aborted=False)
UNKNOWN: Final = Refused("ProgrammingError", "", aborted=False)
BY_SQLALCHEMY: Final = Refused("StatementError", "", aborted=False)


class Word(str, enum.Enum):  # noqa: UP042 - as programs spell it
    """A word that is a string."""

    FIVE = "5"


class Number(enum.IntEnum):
    """A number that is an int."""

    FIVE = 5


class Plain(enum.Enum):
    """A word that is neither: psycopg sends its name."""

    A = "5"


class Whole(int):
    """A number of a class of its own."""


NAN, INF = float("nan"), float("inf")
UUID_5 = UUID("00000000-0000-0000-0000-000000000005")
EASTERN = dt.timezone(dt.timedelta(hours=2))
DAY = dt.date(2024, 2, 29)
NAIVE = dt.datetime(2024, 2, 29, 1, 2, 3, 4)  # noqa: DTZ001 - what is tested
AWARE = NAIVE.replace(tzinfo=dt.UTC)
EAST = NAIVE.replace(tzinfo=EASTERN)
FIRST, LAST = dt.datetime.min, dt.datetime.max  # noqa: DTZ901 - what is tested
LAST_UTC = LAST.replace(tzinfo=dt.UTC)
# A moment that no datetime in UTC has.
LATER = LAST.replace(tzinfo=dt.timezone(dt.timedelta(hours=-5)))
CLOCK = dt.time(1, 2, 3, 4)
CLOCK_EAST = CLOCK.replace(tzinfo=EASTERN)
# A time whose offset is another one in summer.
SEASONAL = CLOCK.replace(tzinfo=ZoneInfo("Europe/Berlin"))
SPAN = dt.timedelta(days=1, seconds=2)
BACK = dt.timedelta(days=-1, seconds=2, microseconds=5)
IP = ipaddress.ip_address("1.2.3.4")
NET = ipaddress.ip_network("1.2.3.0/24")


class Case(NamedTuple):
    """A type, a value, what is stored for it (or not), and what asyncpg does wrong.

    `declared` is what ours does under asyncio where it differs: SQLAlchemy renders a
    cast of more parameters there, so that a type that does not fit is a cast that
    there is not; and it is the server that refuses a zero byte.
    """

    kind: TypeEngine[Any]
    value: object
    expected: str | Refused | None
    wrong: str = ""
    declared: Refused | None = None

    @property
    def name(self) -> str:
        """Return the value as Python writes it, with its class."""
        return f"{type(self.value).__name__} {self.value!r}"

    def on(self, driver: str) -> str | Refused | None:
        """Return what is expected of a dialect."""
        if driver == OURS_ASYNC and self.declared:
            return self.declared
        return self.expected


def of(kind: TypeEngine[Any], *rows: tuple[Any, ...]) -> list[Case]:
    """Return the cases of one type."""
    return [Case(kind, *row) for row in rows]


def outcome(connection: Connection, do: Callable[[], _T]) -> _T | Refused:
    """Return what is done, or how it is refused and what becomes of the transaction."""
    try:
        return do()
    except StatementError as error:
        sqlstate = getattr(error.orig, "sqlstate", None) or ""
        return Refused(type(error).__name__, sqlstate, is_aborted(connection))


def is_aborted(connection: Connection) -> bool:
    """Ask the server whether it refuses what comes next in the transaction."""
    try:
        connection.exec_driver_sql("SELECT 1").all()
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != "25P02":
            raise
        return True
    return False


def temporary(connection: Connection, kind: TypeEngine[Any]) -> Table:
    """Create a table with one column, which leaves with the transaction."""
    table = Table("al_case", MetaData(), Column("v", kind), prefixes=["TEMPORARY"])
    table.create(connection)
    return table
