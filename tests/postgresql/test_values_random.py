"""Random values of the types that columns have come back as they went."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    Time,
    Uuid,
    insert,
    select,
    text,
)

from tests.postgresql._dialects import OURS_ASYNC, PSYCOPG

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection
    from sqlalchemy.types import TypeEngine

    from tests.postgresql._dialects import Side

# A machine may be busy with something else.
UNHURRIED: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow],
}
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
WHOLE = st.integers(-(2**31), 2**31 - 1)
EXACT = st.decimals(allow_nan=False, allow_infinity=False, places=6)
AWARE = st.datetimes(timezones=st.just(dt.UTC))

# A column of each type, and the values for it.
COLUMNS: dict[str, tuple[TypeEngine[Any], st.SearchStrategy[Any]]] = {
    "small": (SmallInteger(), st.integers(-(2**15), 2**15 - 1)),
    "whole": (Integer(), WHOLE),
    "big": (BigInteger(), st.integers(-(2**63), 2**63 - 1)),
    "real": (Double(), st.floats(allow_nan=False)),
    "exact": (Numeric(), EXACT),
    "text": (Text(), TEXTS),
    "bytes": (LargeBinary(), st.binary()),
    "flag": (Boolean(), st.booleans()),
    "day": (Date(), st.dates()),
    "clock": (Time(), st.times()),
    "moment": (DateTime(), st.datetimes()),
    "instant": (DateTime(timezone=True), AWARE),
    "span": (Interval(), st.timedeltas()),
    "key": (Uuid(), st.uuids()),
    "wholes": (ARRAY(Integer), st.lists(st.none() | WHOLE)),
    "exacts": (ARRAY(Numeric), st.lists(EXACT)),
    "texts": (ARRAY(Text), st.lists(st.none() | TEXTS)),
    "days": (ARRAY(Date), st.lists(st.none() | st.dates())),
}
ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | it for name, (_, it) in COLUMNS.items()}),
    min_size=1,
    max_size=4,
)
# What has a type of its own: psycopg sends the rest as text, of no type.
PLAIN = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    EXACT,
    st.booleans(),
    st.dates(),
    st.times(),
    st.datetimes(),
    st.timedeltas(),
    st.uuids(),
    st.binary(),
    TEXTS,
)


def come_back(side: Side, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows that a table has of these, inserted in one batch."""
    columns = [Column(name, kind) for name, (kind, _) in COLUMNS.items()]
    table = Table("al_any", MetaData(), *columns, prefixes=["TEMPORARY"])

    def body(connection: Connection) -> list[dict[str, Any]]:
        connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
        table.create(connection)
        connection.execute(insert(table), rows)
        return [dict(row) for row in connection.execute(select(table)).mappings()]

    return side.run(body)


@pytest.mark.parametrize("driver", [PSYCOPG, OURS_ASYNC])
@settings(max_examples=20, **UNHURRIED)
@given(rows=ROWS)
def test_rows_come_back_as_they_went(
    sides: Callable[[str], Side], driver: str, rows: list[dict[str, Any]]
) -> None:
    """Whatever is stored is read again, by our dialect as by psycopg."""
    assert rows == come_back(sides(driver), rows)


def selected(side: Side, value: object) -> object:
    """Return what the server gives back for a value of no declared type."""

    def body(connection: Connection) -> object:
        connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
        return connection.scalar(text("SELECT :v"), {"v": value})

    return side.run(body)


@pytest.mark.parametrize("driver", [OURS_ASYNC])
@settings(max_examples=40, **UNHURRIED)
@given(value=PLAIN)
def test_a_value_of_no_declared_type_is_read_as_psycopg_reads_it(
    sides: Callable[[str], Side], driver: str, value: object
) -> None:
    """The value and its type are those of psycopg."""
    expected = selected(sides(PSYCOPG), value)
    found = selected(sides(driver), value)
    # asyncpg has a class of its own for UUID, below Python's.
    assert isinstance(found, type(expected))
    assert expected == found
