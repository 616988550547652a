"""What a scenario came to, and how far two outcomes agree; no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import IntEnum
from typing import Any, cast

from sqlalchemy import Row
from sqlalchemy.exc import DBAPIError, StatementError

# The classes of PEP 249, the nearest base first.
_PEP = (
    *("DataError", "OperationalError", "IntegrityError", "InternalError"),
    *("ProgrammingError", "NotSupportedError", "InterfaceError", "DatabaseError"),
    *("Warning", "Error"),
)
# What has another number in each run: schemas, objects, cursors, types, ports.
_NUMBERED = re.compile(
    r"differential_\d+_\d+|0x[0-9a-f]+|c_[0-9a-f]+_[0-9a-f]+|(?<=type )\d+"
    r"|(?<=port )\d+|(?<=PGSQL\.)\d+|(?<=', )\d+(?=\))|__asyncpg_\w+__"
)


class Level(IntEnum):
    """How closely outcomes are looked at.

    `EXACT`: all that was seen. `PLAIN`: not the names of a driver's classes, the
    text of messages, the zone of an instant, the names of unnamed columns.
    `MASKED`: of an error only that there was one, and whether it took its
    connection along.
    """

    EXACT = 0
    PLAIN = 1
    MASKED = 2


class Category(IntEnum):
    """What two outcomes have in common, from all to nothing."""

    IDENTICAL = 0
    COSMETIC = 1
    STATEMENTS = 2
    ERROR_CLASS = 3
    VALUE = 4


@dataclass(frozen=True)
class Seen:
    """An error as the caller saw it.

    `pep` is the class of PEP 249 that the driver's error has, or the name of what
    is no error of a driver; `message` its first line.
    """

    kind: str
    pep: str
    sqlstate: str | None
    invalidated: bool | None
    message: str


@dataclass(frozen=True)
class Names:
    """The names of a result's columns."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """What the caller got, as text: one for each level."""

    forms: tuple[str, ...]

    @classmethod
    def of(cls, value: object) -> Told:
        """Write a value down, so that it can leave its process."""
        return cls(tuple(form(value, level) for level in Level))


@dataclass(frozen=True)
class Outcome:
    """What a scenario came to.

    `told`: what its caller got, an error as `Seen`. `rows`: what others see of its
    tables. `left`: connections that still are in a transaction, or checked out.
    `control`: the statements that began and ended transactions, as the server
    logged them. `logged`: what went to Python's log.
    """

    told: object
    rows: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    control: tuple[str, ...] = ()
    logged: tuple[str, ...] = ()


def compare(one: Outcome, other: Outcome) -> Category:
    """Say what two outcomes have in common."""

    def same(level: Level) -> bool:
        return form(one.told, level) == form(other.told, level)

    if (one.rows, one.left) != (other.rows, other.left) or not same(Level.MASKED):
        return Category.VALUE
    if not same(Level.PLAIN):
        return Category.ERROR_CLASS
    if one.control != other.control:
        return Category.STATEMENTS
    if not same(Level.EXACT) or one.logged != other.logged:
        return Category.COSMETIC
    return Category.IDENTICAL


def see(error: BaseException) -> Seen:
    """Return what the caller of SQLAlchemy sees of an error."""
    orig = error.orig if isinstance(error, StatementError) else error
    invalidated = None
    if isinstance(error, DBAPIError):
        invalidated = error.connection_invalidated
    # asyncpg's adapter begins with the name of a class.
    message = re.sub(r"^<class '[^']*'>: ", "", str(orig)) or "-"
    lines = _NUMBERED.sub("here", message).splitlines()
    return Seen(
        type(error).__name__,
        _pep(orig),
        getattr(orig, "sqlstate", None),
        invalidated,
        lines[0],
    )


def _pep(error: BaseException | None) -> str:
    if isinstance(error, Exception) and _of_driver(type(error)):
        names = (base.__name__ for base in type(error).__mro__)
        return next((name for name in names if name in _PEP), type(error).__name__)
    return type(error).__name__


def _of_driver(kind: type) -> bool:
    """Say whether a class descends from a driver's own, not from SQLAlchemy's."""
    return any(base.__name__ in _PEP for base in kind.__mro__) and not issubclass(
        kind, DBAPIError | Warning
    )


def form(value: object, level: Level) -> str:  # noqa: C901, PLR0911 - a case a kind
    """Return a value as text, as closely as the level looks."""
    match value:
        case Told(forms):
            return forms[level]
        case Seen():
            return _seen(value, level)
        case Names(names):
            unnamed = ["?" if level else name for name in names]
            return f"names{unnamed}"
        case datetime():
            return _instant(value, level)
        case date() | time() | timedelta() | None | bool() | int() | float():
            return repr(value)
        case str() | bytes() | bytearray():
            return repr(value)
        case Row():
            return f"({_joined(cast('Any', value), level)})"
        case Mapping():
            known = cast("Mapping[object, object]", value)
            inner = (f"{form(k, level)}: {form(v, level)}" for k, v in known.items())
            return f"{{{', '.join(inner)}}}"
        case AbstractSet():
            inner = (form(each, level) for each in cast("AbstractSet[object]", value))
            return f"set({', '.join(sorted(inner))})"
        case list() | tuple():
            return f"{_open(cast('Any', value), level)}{_joined(value, level)}]"
        case _:
            return _foreign(value, level)


def _joined(values: Any, level: Level) -> str:
    return ", ".join(form(each, level) for each in values)


def _open(value: object, level: Level) -> str:
    return "[" if level or type(value) in {list, tuple} else f"{_named(value)}["


def _seen(error: Seen, level: Level) -> str:
    lost = ", connection invalidated" if error.invalidated else ""
    if level is Level.MASKED:
        return f"<error{lost}>"
    said = "" if level else f": {error.message}"
    return f"<{error.kind}({error.pep}) {error.sqlstate}{lost}{said}>"


def _instant(value: datetime, level: Level) -> str:
    if level and value.tzinfo is not None:
        try:
            return value.astimezone(UTC).isoformat()
        except OverflowError:  # within a day of the ends of the calendar
            return repr(value)
    return repr(value)


def _foreign(value: object, level: Level) -> str:
    """Name the class of a driver's value; what it says is what can be compared."""
    if not level:
        # An object without a repr of its own has its address in it.
        return re.sub(r" at 0x[0-9a-f]+", "", f"{_named(value)} {value!r}")
    if isinstance(value, Decimal):
        return f"{value:f}"
    if hasattr(value, "lower") and hasattr(value, "upper"):
        known = cast("Any", value)
        # An empty range has bounds in one driver and none in the other.
        if getattr(known, "isempty", getattr(known, "is_empty", False)):
            return "range empty"
        ends = form(known.lower, level), form(known.upper, level)
        left = getattr(known, "lower_inc", getattr(known, "bounds", "[)")[0] == "[")
        right = getattr(known, "upper_inc", getattr(known, "bounds", "[)")[1] == "]")
        return f"range {'[' if left else '('}{', '.join(ends)}{']' if right else ')'}"
    return str(value)


def _named(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
