"""A value has the type that psycopg gives it, and the server converts or refuses it.

The expected values are literals, proven on psycopg as on the others; what stock
asyncpg does wrong is written beside them, and has to be wrong still.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.postgresql._values_arrays import ARRAYS
from tests.postgresql._values_numbers import REAL_ONES, WHOLE
from tests.postgresql._values_storing import each_type, failures, known_failures
from tests.postgresql._values_texts import TEXTS
from tests.postgresql._values_times import TIMES

if TYPE_CHECKING:
    from tests.postgresql._dialects import Side
    from tests.postgresql._values import Case


@each_type(WHOLE)
def test_a_column_of_whole_numbers(side: Side, cases: list[Case]) -> None:
    """The server rounds, reads a text, and refuses what is too large."""
    assert known_failures(side.driver, cases) == failures(side, cases)


@each_type(REAL_ONES)
def test_a_column_of_numbers_with_a_fraction(side: Side, cases: list[Case]) -> None:
    """A float is its shortest decimal, and no bool is a number."""
    assert known_failures(side.driver, cases) == failures(side, cases)


@each_type(TEXTS)
def test_a_column_of_text_and_the_like(side: Side, cases: list[Case]) -> None:
    """Whatever has a type of its own is cast to text by the server."""
    assert known_failures(side.driver, cases) == failures(side, cases)


@each_type(TIMES)
def test_a_column_of_times(side: Side, cases: list[Case]) -> None:
    """A time without a zone is in the session's, and no date means infinity."""
    assert known_failures(side.driver, cases) == failures(side, cases)


@each_type(ARRAYS)
def test_a_column_of_arrays_or_ranges(side: Side, cases: list[Case]) -> None:
    """Elements and bounds are converted or refused as single values are."""
    assert known_failures(side.driver, cases) == failures(side, cases)
