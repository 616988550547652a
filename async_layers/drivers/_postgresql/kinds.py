"""Which type of SQL a value of Python has: psycopg's.

The value tells, and PostgreSQL converts it to what the statement needs, or refuses it
(https://www.psycopg.org/psycopg3/docs/basic/adapt.html). A text has no type, so that
PostgreSQL reads it as what it needs.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeGuard
from uuid import UUID

from async_layers.drivers._postgresql.untyped import Range

if TYPE_CHECKING:
    from collections.abc import Iterator

_WIDTHS: Final = {"int2": 1 << 15, "int4": 1 << 31, "int8": 1 << 63}
_SIMPLE: Final[dict[type, str]] = {
    bool: "bool",
    float: "float8",
    Decimal: "numeric",
    bytes: "bytea",
    bytearray: "bytea",
    memoryview: "bytea",
    dt.timedelta: "interval",
    UUID: "uuid",
    ipaddress.IPv4Address: "inet",
    ipaddress.IPv6Address: "inet",
    ipaddress.IPv4Interface: "inet",
    ipaddress.IPv6Interface: "inet",
    ipaddress.IPv4Network: "cidr",
    ipaddress.IPv6Network: "cidr",
}
_RANGES: Final = {  # but of integers, whose range is left open
    "numeric": "numrange",
    "date": "daterange",
    "timestamp": "tsrange",
    "timestamptz": "tstzrange",
}
_OTHERS = (int, str, dt.datetime, dt.date, dt.time, list, tuple, Range)
_KNOWN: Final = frozenset({*_SIMPLE, *_OTHERS})


def kind_of(given: type) -> type | None:
    """Return the type that psycopg would take it for; None if it knows none."""
    if given in _KNOWN:
        return given
    found = next((base for base in given.__mro__ if base in _KNOWN), None)
    return Enum if found is None and issubclass(given, Enum) else found


def kind_of_value(value: object) -> type | None:
    """Return the type that psycopg would take a value for; None if it knows none."""
    return kind_of(type(value))


def sql_type(value: object) -> str | None:
    """Return the type that psycopg sends a value as; None: it leaves it open."""
    kind: type | None = type(value)
    if kind not in _SIMPLE and kind is not int:
        kind = kind_of(type(value))
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    anything: Any = value
    if kind is int:
        return _integer(anything)
    if kind in {dt.datetime, dt.time}:
        word = "timestamp" if kind is dt.datetime else "time"
        return word if anything.tzinfo is None else f"{word}tz"
    if kind is list:
        name = type_of_many(list(flat(anything)))
        return f"{name}[]" if name else None
    if kind is Range:
        bounds = [anything.lower, anything.upper]
        whole = any(isinstance(each, int) for each in bounds)
        return None if whole else _RANGES.get(type_of_many(bounds) or "")
    return "date" if kind is dt.date else None


def type_of_many(values: list[Any]) -> str | None:
    """Return the type that several values have; None where they have none, or more."""
    given = set(map(type, values)) - {type(None)}
    if not given or given == {str}:
        return None
    found = [value for value in values if value is not None]
    if {kind_of(each) for each in given} == {int}:
        ends = (_integer(min(found)), _integer(max(found)))
        return max(ends, key=[*_WIDTHS, "numeric"].index)
    names = {sql_type(value) for value in found}
    return names.pop() if len(names) == 1 else None


def is_mixed(value: object) -> bool:
    """Say whether a list has values of several types, which psycopg refuses."""
    if not is_list(value):
        return False
    return len({kind_of_value(each) for each in flat(value) if each is not None}) > 1


def flat(values: list[Any]) -> Iterator[Any]:
    """Go through the values of a list of lists."""
    for value in values:
        if is_list(value):
            yield from flat(value)
        else:
            yield value


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Say whether a value is a list, which psycopg takes for an array."""
    return isinstance(value, list)


def _integer(value: int) -> str:
    """Return the smallest type that holds a whole number, as psycopg does."""
    for name, end in _WIDTHS.items():
        if -end <= value < end:
            return name
    return "numeric"
