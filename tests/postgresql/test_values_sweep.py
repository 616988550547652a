"""Every kind of value for every kind of column, on our dialects as on psycopg.

What is expected here is what psycopg does on the same server; the literals of
`_values_*.py` say for a part of them what that is.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    SmallInteger,
    Text,
    Time,
    Uuid,
)
from sqlalchemy.dialects import postgresql

from tests.postgresql._dialects import OURS, OURS_ASYNC, PSYCOPG, on
from tests.postgresql._values import (
    AWARE,
    CLOCK,
    CLOCK_EAST,
    DAY,
    INF,
    IP,
    LAST,
    LAST_UTC,
    MISMATCH,
    NAIVE,
    NAN,
    NO_CAST,
    SPAN,
    UUID_5,
    Plain,
    Word,
)
from tests.postgresql._values_storing import (
    Put,
    all_stored,
    insert_batch,
    insert_one,
    insert_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.types import TypeEngine

    from tests.postgresql._dialects import Side

KINDS: list[TypeEngine[Any]] = [
    Integer(),
    SmallInteger(),
    BigInteger(),
    Numeric(),
    Float(),
    REAL(),
    Text(),
    Date(),
    DateTime(),
    DateTime(timezone=True),
    Time(),
    postgresql.TIME(timezone=True),
    Interval(),
    Uuid(),
    postgresql.INET(),
    postgresql.OID(),
    postgresql.INT4RANGE(),
]
SOME = [Integer(), Numeric(), Text(), Date(), DateTime(timezone=True), Uuid()]
# SQLAlchemy has its own mind about values for these, but not in text().
BY_TEXT: list[TypeEngine[Any]] = [
    Boolean(),
    LargeBinary(),
    postgresql.JSONB(),
    postgresql.BIT(3),
    postgresql.INT4RANGE(),
    postgresql.ENUM("abc", name="al_abc"),
    ARRAY(Integer),
]
NUMBERS = [5, -(2**15) - 1, 2**31, 2**40, 2**63]
FLOATS = [3.5, 0.1, -0.0, NAN, INF]
DECIMALS = [Decimal(it) for it in ("2.5", "1E+30", "NaN")]
STRINGS = ["5", "2.5", "abc", "infinity", "2024-02-29"]
TIMES = [DAY, dt.date.max, NAIVE, AWARE, LAST, LAST_UTC, CLOCK, CLOCK_EAST]
OTHERS = [SPAN, True, b"\0\xff", UUID_5, IP, Word.FIVE, Plain.A, None]
VALUES: list[Any] = [*NUMBERS, *FLOATS, *DECIMALS, *STRINGS, *TIMES, *OTHERS]

ARRAYS: list[TypeEngine[Any]] = [
    ARRAY(Integer),
    ARRAY(BigInteger),
    ARRAY(Numeric),
    ARRAY(Float),
    ARRAY(Text),
    ARRAY(Date),
    ARRAY(Uuid),
]
LISTS: list[Any] = [
    *([value] for value in (5, 2**40, 2.5, 3.5, 0.1, True, "5", "a", DAY, NAIVE)),
    *([value] for value in (dt.date.max, Decimal("0.1"), UUID_5, None)),
    [1, None],
    [None, 2.5],
    [[1, 2], [3, 4]],
    None,
]


def compared(
    side: Side, kind: TypeEngine[Any], values: list[Any], put: Put
) -> dict[str, object]:
    """Return what is stored for each value, or how it is refused.

    Where SQLAlchemy casts for asyncpg and not for psycopg, a type that does not fit
    is a cast that there is not: the two are taken for one.
    """
    found = all_stored(side, kind, values, put)
    return {
        repr(value): NO_CAST if one == MISMATCH else one
        for value, one in zip(values, found, strict=True)
    }


@pytest.fixture(scope="module")
def by_psycopg(
    sides: Callable[[str], Side],
) -> Callable[[TypeEngine[Any], list[Any], Put], dict[str, object]]:
    """Return what psycopg stores, asked once."""
    known = dict[tuple[object, ...], dict[str, object]]()

    def find(kind: TypeEngine[Any], values: list[Any], put: Put) -> dict[str, object]:
        key = kind, put
        if key not in known:
            known[key] = compared(sides(PSYCOPG), kind, values, put)
        return known[key]

    return find


CASES = [
    *((kind, VALUES, insert_one) for kind in KINDS),
    *((kind, VALUES, insert_batch) for kind in SOME),
    *((kind, VALUES, insert_text) for kind in [*SOME, *BY_TEXT]),
    *((kind, LISTS, insert_one) for kind in ARRAYS),
    *((kind, LISTS, insert_text) for kind in ARRAYS),
]


@on(OURS_ASYNC)
@pytest.mark.parametrize(
    ("kind", "values", "put"),
    CASES,
    ids=[f"{kind!r}-{put.__name__}" for kind, _, put in CASES],
)
def test_every_value_for_every_column(
    side: Side,
    by_psycopg: Callable[[TypeEngine[Any], list[Any], Put], dict[str, object]],
    kind: TypeEngine[Any],
    values: list[Any],
    put: Put,
) -> None:
    """A value is stored, or refused, as psycopg has it."""
    expected = by_psycopg(kind, values, put)
    assert expected == compared(side, kind, values, put)


@on(OURS)
@pytest.mark.parametrize("kind", SOME, ids=repr)
def test_every_value_on_psycopg_itself(
    side: Side,
    by_psycopg: Callable[[TypeEngine[Any], list[Any], Put], dict[str, object]],
    kind: TypeEngine[Any],
) -> None:
    """Our blocking dialect leaves values to psycopg."""
    expected = by_psycopg(kind, VALUES, insert_one)
    assert expected == compared(side, kind, VALUES, insert_one)
