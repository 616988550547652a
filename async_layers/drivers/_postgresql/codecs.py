"""What asyncpg's codecs would make of a value: another one, or an error of their own.

asyncpg takes the type that the statement has, and its codec converts: a float loses
its fraction, the last date is the end of time
(https://magicstack.github.io/asyncpg/current/usage.html#type-conversion). What
psycopg would send otherwise is found here, and sent as psycopg sends it.
"""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from async_layers.drivers._postgresql.kinds import (
    flat,
    is_mixed,
    kind_of,
    kind_of_value,
)
from async_layers.drivers._postgresql.real import is_no_real
from async_layers.drivers._postgresql.untyped import Range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Check = Callable[[Any], bool]

_DATE, _TIME, _TIMETZ, _TIMESTAMP, _TIMESTAMPTZ = 1082, 1083, 1266, 1114, 1184
_OID, _FLOAT4, _FLOAT8, _NUMERIC, _UUID = 26, 700, 701, 1700, 2950
_INTEGERS: Final = {
    21: (-(1 << 15), 1 << 15),
    23: (-(1 << 31), 1 << 31),
    20: (-(1 << 63), 1 << 63),
    _OID: (0, 1 << 32),
}
_FIRST_OWN = 16384  # the OID from which on a database has its own types
_BYTES = frozenset({bytes, bytearray, memoryview})

# What asyncpg sends as it is, by the OID of the parameter.
_STRAIGHT: Final[dict[int, frozenset[type]]] = {
    16: frozenset({bool}),
    17: _BYTES,
    **dict.fromkeys(_INTEGERS, frozenset({int})),
    **dict.fromkeys((114, 3802), frozenset({str})),
    _FLOAT8: frozenset({float, int}),
    1186: frozenset({dt.timedelta}),
    _NUMERIC: frozenset({Decimal, int}),
    _UUID: frozenset({UUID, str}),
    **dict.fromkeys((25, 1043, 1042, 19, 18), frozenset({str})),
    # What depends on the value stands in _BY_VALUE.
    **dict.fromkeys(
        (_DATE, _TIME, _TIMETZ, _TIMESTAMP, _TIMESTAMPTZ, _FLOAT4), frozenset()
    ),
}
_ELEMENTS: Final = {
    1000: 16,
    1001: 17,
    1005: 21,
    1007: 23,
    1016: 20,
    1028: _OID,
    1021: _FLOAT4,
    1022: _FLOAT8,
    1231: _NUMERIC,
    1182: _DATE,
    1183: _TIME,
    1270: _TIMETZ,
    1115: _TIMESTAMP,
    1185: _TIMESTAMPTZ,
    1187: 1186,
    2951: _UUID,
    1009: 25,
    1015: 1043,
    1014: 1042,
}
_RANGES: Final = {
    3904: 23,
    3926: 20,
    3906: _NUMERIC,
    3908: _TIMESTAMP,
    3910: _TIMESTAMPTZ,
    3912: _DATE,
}
_MULTIRANGES: Final = {
    4451: 23,
    4536: 20,
    4532: _NUMERIC,
    4533: _TIMESTAMP,
    4534: _TIMESTAMPTZ,
    4535: _DATE,
}
# asyncpg reads a list, a tuple or bytes for one of these in its own way.
_SINGLE: Final = frozenset({869, 650, 829, 1560, 1562})  # inet, cidr, macaddr, bit
_COMPOUNDS: Final = frozenset({list, tuple, *_BYTES})
# Where a codec changes a value silently; elsewhere it refuses it.
_CHANGED: Final = frozenset(
    {
        *_INTEGERS,
        *(_FLOAT4, _FLOAT8, _NUMERIC),
        *(_DATE, _TIME, _TIMETZ, _TIMESTAMP, _TIMESTAMPTZ),
        *_SINGLE,
    }
)

# asyncpg takes these for infinity (its codec of dates says so).
_ENDS = frozenset({dt.datetime.max, dt.datetime.min})  # noqa: DTZ901 - both kinds
_ENDS_UTC = frozenset(end.replace(tzinfo=dt.UTC) for end in _ENDS)
_END_YEARS = frozenset({dt.MINYEAR, dt.MAXYEAR})
_YEAR, _ZONE = attrgetter("year"), attrgetter("tzinfo")
_DATE_ENDS = frozenset({dt.date.max, dt.date.min})


def always(value: object) -> bool:
    """Say that a value is wrong whatever it is."""
    del value
    return True


def is_end(value: object) -> bool:
    """Say whether a date or a datetime is an end of time to asyncpg."""
    if not isinstance(value, dt.datetime):
        return value in _DATE_ENDS
    if value.year not in _END_YEARS:
        return False
    if value.tzinfo is None:
        return value in _ENDS
    try:
        return value.astimezone(dt.UTC) in _ENDS_UTC
    except OverflowError:
        return True


def _is_no_timestamp(value: dt.datetime) -> bool:
    return value.tzinfo is not None or is_end(value)


def _is_no_timestamptz(value: dt.datetime) -> bool:
    return value.tzinfo is None or is_end(value)


def _has_zone(value: dt.time) -> bool:
    return value.tzinfo is not None


def _has_no_zone(value: dt.time) -> bool:
    return value.tzinfo is None


def has_lost_zone(value: dt.time) -> bool:
    """Say whether a time has a zone whose offset depends on the date."""
    return value.tzinfo is not None and value.utcoffset() is None


def _is_too_large(value: Decimal) -> bool:
    return value.is_finite() and math.isinf(float(value))


_BY_VALUE: Final[dict[tuple[int, type], Check]] = {
    (_DATE, dt.date): _DATE_ENDS.__contains__,
    (_TIMESTAMP, dt.datetime): _is_no_timestamp,
    (_TIMESTAMPTZ, dt.datetime): _is_no_timestamptz,
    (_TIME, dt.time): _has_zone,
    (_TIMETZ, dt.time): _has_no_zone,
    (_FLOAT4, float): is_no_real,
    (_FLOAT8, Decimal): _is_too_large,
}


def is_multirange(oid: int) -> bool:
    """Say whether a type is a multirange, whose values are lists of ranges."""
    return oid in _MULTIRANGES


def is_changed(oid: int) -> bool:
    """Say whether a codec may change a value of a type silently."""
    inner = _ELEMENTS.get(oid) or _RANGES.get(oid) or _MULTIRANGES.get(oid) or oid
    return inner in _CHANGED


def check_of(oid: int, given: type) -> Check | None:
    """Return what says of a value whether asyncpg would change it; None: it never does.

    A type that psycopg does not know is left to asyncpg's codecs.
    """
    kind = kind_of(given)
    if kind is None:
        # The codec would cut off what another class is above an integer.
        whole = oid not in _INTEGERS or hasattr(given, "__index__")
        return None if whole or given is type(None) else always
    if oid in _STRAIGHT:
        straight = kind in _STRAIGHT[oid]
        return None if straight else _BY_VALUE.get((oid, kind), always)
    return _check_of_compound(oid, kind)


def _check_of_compound(oid: int, kind: type) -> Check | None:
    if oid in _ELEMENTS and kind is list:
        return _check_of_list(_ELEMENTS[oid])
    if oid in _RANGES and kind is Range:
        return _check_of_range(_RANGES[oid])
    if oid in _MULTIRANGES and kind is list:
        return _check_of_ranges(_check_of_range(_MULTIRANGES[oid]))
    known = oid in _SINGLE or oid in _RANGES or oid in _MULTIRANGES
    return always if known and kind in _COMPOUNDS else None


def is_refused(oid: int, value: Any) -> bool:
    """Say whether asyncpg refuses or changes a value that psycopg has a type for."""
    kind = kind_of_value(value)
    if value is None or kind is None:
        return False
    if kind is int and oid in _INTEGERS:
        least, end = _INTEGERS[oid]
        return not least <= value < end
    # Lists that are left are of lists of several lengths, integers too large.
    left = {(list, oid in _ELEMENTS), (int, oid == _FLOAT8), (str, oid == _UUID)}
    if oid not in _STRAIGHT or (kind, True) in left:
        return True
    if kind is dt.time and has_lost_zone(value):
        return True
    check = check_of(oid, kind)
    return check is not None and check(value)


def _check_of_list(oid: int) -> Check:
    def check(values: list[Any]) -> bool:
        return (
            is_mixed(values)
            or any(each == [] for each in values)
            or is_any_wrong(oid, list(flat(values)))
        )

    return check


def _check_of_range(oid: int) -> Check:
    def check(value: Any) -> bool:
        bounds = [value.lower, value.upper]
        if is_any_wrong(oid, bounds):
            return True
        return any(type(each) is int and is_refused(oid, each) for each in bounds)

    return check


def _check_of_ranges(check: Check) -> Check:
    def check_all(values: list[Any]) -> bool:
        return any(isinstance(value, Range) and check(value) for value in values)

    return check_all


def is_any_wrong(oid: int, values: Iterable[Any]) -> bool:
    """Say whether asyncpg would make another value of one of many."""
    found = values if isinstance(values, list) else list(values)
    if oid in {_TIMESTAMP, _TIMESTAMPTZ} and _are_plain(oid, found):
        return False
    for given in set(map(type, found)):
        check = check_of(oid, given)
        if check is always:
            return True
        if check is not None and any(check(v) for v in found if type(v) is given):
            return True
    return False


def _are_plain(oid: int, values: list[Any]) -> bool:
    """Say whether all are datetimes of the type, and none is in a year of the ends.

    Thousands are asked, so no function of Python is called for each.
    """
    try:
        if not _END_YEARS.isdisjoint(map(_YEAR, values)):
            return False
        zones = map(_ZONE, values)
        return all(zones) if oid == _TIMESTAMPTZ else not any(zones)
    except AttributeError:
        return False


def is_any_changed(oid: int, values: list[Any]) -> bool:
    """Say whether asyncpg would change, or refuse for its size, one of many values."""
    if is_any_wrong(oid, values):
        return True
    if oid not in _INTEGERS:
        # A text for an array, a range or a point, which the codec does not read.
        read = oid < _FIRST_OWN and oid not in _STRAIGHT
        return read and any(isinstance(value, str) for value in values)
    least, end = _INTEGERS[oid]
    numbers = [value for value in values if value is not None]
    return bool(numbers) and not (least <= min(numbers) and max(numbers) < end)
