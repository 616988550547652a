"""Values of all types, and what SQLite stores for them."""

from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy.types import TypeEngine


class Colour(enum.Enum):
    """A colour, stored by its name."""

    RED = "r"


UUID_5 = UUID("00000000-0000-0000-0000-000000000005")

# A type, a value, what SQLite calls what it stores for it, and that.
CASES: list[tuple[TypeEngine[Any], object, str, object]] = [
    (sa.Integer(), 7, "integer", 7),
    (sa.SmallInteger(), 7, "integer", 7),
    (sa.BigInteger(), 4611686018427387904, "integer", 4611686018427387904),
    (sa.Boolean(), True, "integer", 1),
    (sa.Float(), 1.5, "real", 1.5),
    (sa.Double(), 0.1, "real", 0.1),
    (sa.REAL(), 2.5, "real", 2.5),
    (sa.Numeric(10, 2), Decimal("12.34"), "real", 12.34),
    (sa.DECIMAL(10, 2), Decimal("1.10"), "real", 1.1),
    (sa.Numeric(asdecimal=False), 1.25, "real", 1.25),
    (sa.String(5), "abc", "text", "abc"),
    (sa.Text(), "äöü€😀", "text", "äöü€😀"),
    (sa.Unicode(3), "x", "text", "x"),
    (sa.UnicodeText(), "y", "text", "y"),
    (sa.CHAR(2), "ab", "text", "ab"),
    (sa.NCHAR(2), "ab", "text", "ab"),
    (sa.NVARCHAR(2), "ab", "text", "ab"),
    (sa.LargeBinary(), b"\0\1\xff", "blob", b"\0\1\xff"),
    (sa.BLOB(), b"\0", "blob", b"\0"),
    (sa.Date(), dt.date(2024, 2, 29), "text", "2024-02-29"),
    (sa.Time(), dt.time(1, 2, 3, 4), "text", "01:02:03.000004"),
    (
        sa.DateTime(),
        dt.datetime(2024, 2, 29, 1, 2, 3, 4),  # noqa: DTZ001 - SQLite has no zones
        "text",
        "2024-02-29 01:02:03.000004",
    ),
    (
        sa.TIMESTAMP(),
        dt.datetime(2024, 2, 29, 1, 2, 3),  # noqa: DTZ001 - as above
        "text",
        "2024-02-29 01:02:03.000000",
    ),
    (
        sqlite.DATETIME(truncate_microseconds=True),  # type: ignore[no-untyped-call]
        dt.datetime(2024, 2, 29, 1, 2, 3),  # noqa: DTZ001 - as above
        "text",
        "2024-02-29 01:02:03",
    ),
    (
        sa.Interval(),
        dt.timedelta(days=1, seconds=2),
        "text",
        "1970-01-02 00:00:02.000000",
    ),
    (sa.Enum(Colour), Colour.RED, "text", "RED"),
    (sa.Enum("a", "b"), "a", "text", "a"),
    (sa.JSON(), {"a": [1, None, "ä"]}, "text", '{"a": [1, null, "\\u00e4"]}'),
    (sa.JSON(none_as_null=True), [1], "text", "[1]"),
    (sa.Uuid(), UUID_5, "text", "00000000000000000000000000000005"),
    (sa.PickleType(), None, "null", None),
    (sqlite.JSON(), {}, "text", "{}"),
    (sa.Integer(), None, "null", None),
]
