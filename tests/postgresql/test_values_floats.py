"""Floats have the digits that the server prints."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import ARRAY, REAL, Float, insert, literal, select, text, type_coerce

from async_layers.drivers._postgresql import real
from tests.postgresql._dialects import ASYNCPG, wrong_on
from tests.postgresql._values import OUT_OF_RANGE, outcome, temporary

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tests.postgresql._dialects import Side


@wrong_on(ASYNCPG, "asyncpg reads the four bytes as a float of eight")
@pytest.mark.parametrize("value", [1.1, 0.1, -3.3, 3.4e38, 1e-10])
def test_a_real_has_its_own_digits(side: Side, value: float) -> None:
    """A float of four bytes is read with the digits that it has."""

    def body(connection: Connection) -> object:
        table = temporary(connection, REAL())
        connection.execute(insert(table), {"v": value})
        return connection.scalar(select(table.c.v))

    assert value == side.run(body)


@wrong_on(ASYNCPG, "asyncpg reads the four bytes as a float of eight")
def test_an_array_of_reals_has_their_digits(side: Side) -> None:
    """So have the elements of an array, nested or NULL."""

    def body(connection: Connection) -> object:
        return connection.exec_driver_sql("SELECT '{{1.1,NULL}}'::real[]").scalar()

    assert [[1.1, None]] == side.run(body)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_a_float_may_be_no_number(side: Side, value: str) -> None:
    """NaN and infinity of floats, and of decimals, are Python's."""

    def body(connection: Connection) -> object:
        statement = text("SELECT CAST(:v AS real), CAST(:v AS float8)")
        found = connection.execute(statement.bindparams(v=float(value))).one()
        return [repr(each) for each in found]

    assert [repr(float(value))] * 2 == side.run(body)


def test_a_float_of_eight_bytes_keeps_its_digits(side: Side) -> None:
    """Also in an array, and where a type is only claimed."""
    values = [0.1, 1.1, 5e-324, 1.7976931348623157e308]

    def body(connection: Connection) -> object:
        statement = select(literal(values, ARRAY(Float)))
        claimed = type_coerce(literal(0.1, Float), Float)
        return connection.scalar(statement), connection.scalar(select(claimed))

    assert (values, 0.1) == side.run(body)


@given(st.floats(width=32))
def test_real_is_read_back_as_itself(value: float) -> None:
    """The digits are enough for the same four bytes."""
    read = real.decode(struct.pack("!f", value))
    assert real.encode(value) == real.encode(read) or math.isnan(value)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("3f8ccccd", "1.1"),
        ("3eaaaaab", "0.33333334"),
        ("4b7fffff", "16777215.0"),
        ("7f7fffff", "3.4028235e+38"),
        ("00000001", "1e-45"),
        ("80000000", "-0.0"),
        ("7f800000", "inf"),
        ("7fc00000", "nan"),
        ("ffc00001", "nan"),
    ],
)
def test_real_has_the_fewest_digits(data: str, expected: str) -> None:
    """As PostgreSQL prints them, also of a number that has fewer than most."""
    assert expected == repr(real.decode(bytes.fromhex(data)))


@pytest.mark.parametrize("value", [1.5, 0.1, -3.3])
def test_float_for_a_real_goes_as_it_is(side: Side, value: float) -> None:
    """A parameter that is one by its own words is rounded to four bytes."""

    def body(connection: Connection) -> object:
        statement = text("SELECT CAST(:v\\:\\:real AS text)")
        return connection.scalar(statement, {"v": value})

    assert str(value) == side.run(body)


@wrong_on(ASYNCPG, "asyncpg refuses it, or sends 0 for it")
@pytest.mark.parametrize("value", [1e39, -1e39, 1e-50])
def test_float_that_no_real_holds_is_refused_by_the_server(
    side: Side, value: float
) -> None:
    """One too large, and one so small that it would be 0."""

    def body(connection: Connection) -> object:
        statement = text("SELECT :v\\:\\:real")
        return outcome(connection, lambda: connection.scalar(statement, {"v": value}))

    assert OUT_OF_RANGE == side.run(body)
