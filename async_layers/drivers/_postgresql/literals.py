"""Values as psycopg writes them, where asyncpg has no way to send them.

https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO and
https://www.postgresql.org/docs/current/rangetypes.html#RANGETYPES-IO
"""

from __future__ import annotations

import datetime as dt
import re
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from async_layers.drivers._postgresql import errors
from async_layers.drivers._postgresql.codecs import is_end
from async_layers.drivers._postgresql.kinds import (
    flat,
    is_list,
    kind_of_value,
    sql_type,
)
from async_layers.drivers._postgresql.untyped import Range

if TYPE_CHECKING:
    from collections.abc import Callable

_PLAIN = re.compile(r"[\w.:+-]+", re.ASCII)


def goes_as_text(value: Any) -> bool:
    """Say whether a value travels as text, for want of a type or of words."""
    kind = kind_of_value(value)
    if kind in {str, Enum, tuple, Range}:
        return True
    if is_list(value):
        ends = any(map(is_end, flat(value)))
        return ends or sql_type(value) is None or _is_ragged(value)
    return kind in {dt.date, dt.datetime} and is_end(value)


def literal(value: Any) -> str:
    """Return what PostgreSQL reads as the value."""
    kind = kind_of_value(value)
    if kind is None:
        raise errors.refused(
            f"A value is refused: seen {type(value).__name__} in a list or a tuple, "
            "which has no type in SQL; bind it with a type, or as text.",
            "ProgrammingError",
        )
    return _WRITERS.get(kind, str)(value)


def multirange(value: Any) -> str:
    """Return what PostgreSQL reads as a multirange."""
    if not is_list(value):
        return literal(value)
    ranges = (
        _range(each) if isinstance(each, Range) else literal(each) for each in value
    )
    return "{" + ",".join(ranges) + "}"


def _array(value: list[Any]) -> str:
    return "{" + ",".join(map(_element, value)) + "}"


def _composite(value: tuple[Any, ...]) -> str:
    return "(" + ",".join(map(_field, value)) + ")"


def _moment(value: dt.datetime) -> str:
    return value.isoformat(" ")


def _bytes(value: bytes) -> str:
    return "\\x" + bytes(value).hex()


def _boolean(value: bool) -> str:  # noqa: FBT001 - it is the value
    return "t" if value else "f"


def _name(value: Enum) -> str:
    return value.name


def _element(value: Any) -> str:
    if is_list(value):
        return literal(value)
    if value is None:
        return "NULL"
    text = literal(value)
    if _PLAIN.fullmatch(text) and text.upper() != "NULL":
        return text
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"'))


def _field(value: Any) -> str:
    text = "" if value is None else literal(value)
    if value is None or _PLAIN.fullmatch(text):
        return text
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '""'))


def _range(value: Any) -> str:
    if value.isempty:
        return "empty"
    lower, upper = _field(value.lower), _field(value.upper)
    begin, end = "[" if value.lower_inc else "(", "]" if value.upper_inc else ")"
    return f"{begin}{lower},{upper}{end}"


def _is_ragged(values: list[Any]) -> bool:
    """Say whether lists in a list are of several lengths, which PostgreSQL refuses."""
    inner = [each for each in values if is_list(each)]
    lengths = {len(each) for each in inner}
    mixed = 0 < len(inner) < len(values)
    return mixed or len(lengths) > 1 or any(map(_is_ragged, inner))


# A text may be an Enum's too.
_WRITERS: Final[dict[type | None, Callable[[Any], str]]] = {
    list: _array,
    tuple: _composite,
    Range: _range,
    dt.datetime: _moment,
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: _bytes,
    bool: _boolean,
    str: str.__str__,
    Enum: _name,
}
