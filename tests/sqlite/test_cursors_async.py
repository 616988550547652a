"""The face that PEP 249 gives a cursor, and statements that are run otherwise."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import ProgrammingError

from tests.sqlite._cursors import Refusing, cursor_of
from tests.sqlite._dialects import OURS
from tests.sqlite._ground import (
    CARL,
    NAMES,
    async_driver_of,
    async_engine_on,
    fresh,
    names,
    people,
    sent,
)

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection


async def test_cursor_gives_its_rows_one_by_one(tmp_path: Path) -> None:
    """A cursor is iterated as PEP 249 proposes."""

    def work(connection: Connection) -> list[object]:
        return list(cursor_of(connection).execute(NAMES.text))

    async with async_engine_on(OURS, people(tmp_path, 3)) as engine:
        async with engine.connect() as connection:
            assert [("1",), ("2",), ("3",)] == await connection.run_sync(work)


async def test_cursor_executes_for_many_parameters(tmp_path: Path) -> None:
    """A cursor writes a row for each of the parameters, and says how many."""

    def work(connection: Connection) -> int:
        insert = "INSERT INTO person VALUES (?, ?)"
        cursor = cursor_of(connection).executemany(insert, [(1, "a"), (2, "b")])
        connection.connection.commit()
        return int(cursor.rowcount)

    file = fresh(tmp_path)
    async with async_engine_on(OURS, file) as engine, engine.connect() as connection:
        assert 2 == await connection.run_sync(work)
        assert ["a", "b"] == names(file)


async def test_cursor_ignores_sizes(tmp_path: Path) -> None:
    """A cursor that is told of sizes executes as before."""

    def work(connection: Connection) -> object:
        cursor = cursor_of(connection)
        cursor.setinputsizes([10])
        cursor.setoutputsize(10)
        cursor.setoutputsize(10, 0)
        return cursor.execute("SELECT ?", (1,)).fetchone()

    file = fresh(tmp_path)
    async with async_engine_on(OURS, file) as engine, engine.connect() as connection:
        assert (1,) == await connection.run_sync(work)


async def test_stream_gives_its_rows_one_by_one(tmp_path: Path) -> None:
    """A cursor that fetches two rows at a time gives each, and then None."""

    def work(connection: Connection) -> list[object]:
        cursor = cursor_of(connection, batch=2).execute(NAMES.text)
        return [cursor.fetchone() for _ in range(4)]

    async with async_engine_on(OURS, people(tmp_path, 3)) as engine:
        async with engine.connect() as connection:
            rows = await connection.run_sync(work)
            assert [("1",), ("2",), ("3",), None] == rows


async def test_statement_without_parameters_is_in_the_transaction(
    tmp_path: Path,
) -> None:
    """A statement that must not be looked at for parameters has its BEGIN."""
    file = fresh(tmp_path)
    async with async_engine_on(OURS, file) as engine:
        seen = sent(engine.sync_engine)
        async with engine.connect() as connection:
            await connection.execution_options(no_parameters=True)
            await connection.exec_driver_sql(CARL.text)
            await connection.rollback()
    assert [] == names(file)
    assert ["BEGIN", "INSERT INTO person VALUES (1, 'carl')", "ROLLBACK"] == seen


async def test_parameter_that_stops_an_iteration_is_an_error(tmp_path: Path) -> None:
    """A StopIteration of the user's own code cannot come out of a coroutine."""
    file = fresh(tmp_path)
    async with async_engine_on(OURS, file) as engine, engine.connect() as connection:
        with pytest.raises(RuntimeError, match=r"raised StopIteration\('refused'\)$"):
            await connection.exec_driver_sql("SELECT ?", (Refusing(),))


async def test_batch_behind_a_rollback_is_refused(tmp_path: Path) -> None:
    """A batch that is asked for while another task rolls back is not empty rows."""
    free = threading.Event()
    async with async_engine_on(OURS, people(tmp_path, 9)) as engine:
        async with engine.connect() as connection:
            await connection.exec_driver_sql("DELETE FROM person WHERE id = 9")
            options = {"yield_per": 2}
            rows = await connection.stream(NAMES, execution_options=options)
            assert [("1",), ("2",)] == await rows.fetchmany(2)
            driver = await async_driver_of(connection)
            busy = asyncio.ensure_future(driver._execute(free.wait, 5))
            undone = asyncio.ensure_future(connection.rollback())
            batch = asyncio.ensure_future(rows.fetchmany(2))
            await asyncio.sleep(0)  # each is on its way
            free.set()
            with pytest.raises(ProgrammingError, match="A batch of a stream is"):
                await batch
            await asyncio.gather(busy, undone)
