"""The face that PEP 249 gives a cursor, and statements that are run otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sqlite._cursors import Refusing, cursor_of
from tests.sqlite._dialects import OURS
from tests.sqlite._ground import CARL, NAMES, engine_on, fresh, names, people, sent

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection


def test_cursor_gives_its_rows_one_by_one(tmp_path: Path) -> None:
    """A cursor is iterated as PEP 249 proposes."""

    def work(connection: Connection) -> list[object]:
        return list(cursor_of(connection).execute(NAMES.text))

    with engine_on(OURS, people(tmp_path, 3)) as engine:
        with engine.connect() as connection:
            assert [("1",), ("2",), ("3",)] == work(connection)


def test_cursor_executes_for_many_parameters(tmp_path: Path) -> None:
    """A cursor writes a row for each of the parameters, and says how many."""

    def work(connection: Connection) -> int:
        insert = "INSERT INTO person VALUES (?, ?)"
        cursor = cursor_of(connection).executemany(insert, [(1, "a"), (2, "b")])
        connection.connection.commit()
        return int(cursor.rowcount)

    file = fresh(tmp_path)
    with engine_on(OURS, file) as engine, engine.connect() as connection:
        assert 2 == work(connection)
        assert ["a", "b"] == names(file)


def test_cursor_ignores_sizes(tmp_path: Path) -> None:
    """A cursor that is told of sizes executes as before."""

    def work(connection: Connection) -> object:
        cursor = cursor_of(connection)
        cursor.setinputsizes([10])
        cursor.setoutputsize(10)
        cursor.setoutputsize(10, 0)
        return cursor.execute("SELECT ?", (1,)).fetchone()

    with engine_on(OURS, fresh(tmp_path)) as engine, engine.connect() as connection:
        assert (1,) == work(connection)


def test_stream_gives_its_rows_one_by_one(tmp_path: Path) -> None:
    """A cursor that fetches two rows at a time gives each, and then None."""

    def work(connection: Connection) -> list[object]:
        cursor = cursor_of(connection, batch=2).execute(NAMES.text)
        return [cursor.fetchone() for _ in range(4)]

    with engine_on(OURS, people(tmp_path, 3)) as engine:
        with engine.connect() as connection:
            assert [("1",), ("2",), ("3",), None] == work(connection)


def test_statement_without_parameters_is_in_the_transaction(tmp_path: Path) -> None:
    """A statement that must not be looked at for parameters has its BEGIN."""
    file = fresh(tmp_path)
    with engine_on(OURS, file) as engine:
        seen = sent(engine)
        with engine.connect() as connection:
            connection.execution_options(no_parameters=True)
            connection.exec_driver_sql(CARL.text)
            connection.rollback()
    assert [] == names(file)
    assert ["BEGIN", "INSERT INTO person VALUES (1, 'carl')", "ROLLBACK"] == seen


def test_parameter_that_stops_an_iteration_is_an_error(tmp_path: Path) -> None:
    """A StopIteration of the user's own code comes out as it was raised."""
    with engine_on(OURS, fresh(tmp_path)) as engine, engine.connect() as connection:
        with pytest.raises(StopIteration, match=r"^refused$"):
            connection.exec_driver_sql("SELECT ?", (Refusing(),))
