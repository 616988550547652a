"""The parts of a transaction: savepoints, DDL, several statements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, insert, text
from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from tests.postgresql._dialects import Side
    from tests.postgresql._people import People


def test_savepoints_are_rolled_back_one_by_one(side: Side, people: People) -> None:
    """What a savepoint's rollback undoes is what came after it, three deep."""

    def body(connection: Connection) -> None:
        outer = connection.begin_nested()
        connection.execute(people.insert("carl"))
        middle = connection.begin_nested()
        connection.execute(people.insert("dora"))
        inner = connection.begin_nested()
        connection.execute(people.insert("emma"))
        inner.commit()
        middle.rollback()
        connection.execute(people.insert("fritz"))
        outer.commit()
        connection.commit()

    side.run(body)
    assert ["carl", "fritz"] == people.names()


def test_error_in_a_savepoint_keeps_what_was_before(side: Side, people: People) -> None:
    """The savepoint's rollback mends the failed transaction."""

    def body(connection: Connection) -> None:
        connection.execute(people.insert("carl"))
        with pytest.raises(DBAPIError), connection.begin_nested():
            connection.execute(people.insert("dora"))
            connection.execute(text("SELECT 1 / 0"))
        connection.execute(people.insert("emma"))
        connection.commit()

    side.run(body)
    assert ["carl", "emma"] == people.names()


def test_savepoint_first_is_part_of_the_transaction(side: Side, people: People) -> None:
    """A savepoint that comes before any statement has BEGIN before it."""

    def body(connection: Connection) -> None:
        with connection.begin_nested():
            connection.execute(people.insert("carl"))
        connection.rollback()

    side.run(body)
    assert [] == people.names()


def test_ddl_is_part_of_the_transaction(side: Side, people: People) -> None:
    """A table that was made or emptied first is rolled back with the rest."""
    people.add(1)

    def body(connection: Connection) -> None:
        connection.execute(text(f"CREATE TABLE {people.schema}.town (id int)"))
        connection.execute(delete(people.table))
        connection.execute(text(f"DROP TABLE {people.schema}.person"))
        connection.rollback()

    side.run(body)
    assert (["anna"], ["person"]) == (people.names(), people.tables())


def test_exception_that_leaves_the_block_rolls_back(side: Side, people: People) -> None:
    """Several statements, one of them of many rows, are one transaction."""

    def body(engine: Engine) -> None:
        with pytest.raises(LookupError), engine.begin() as connection:
            connection.execute(insert(people.table), [{"id": 1}, {"id": 2}])
            connection.execute(people.insert("carl"))
            raise LookupError

    side.on_engine(body)
    assert [] == people.names()
