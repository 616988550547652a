"""A result has its rows when it is executed, whatever happens then, under asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import OperationalError, ResourceClosedError
from sqlalchemy.ext.asyncio import AsyncSession

from async_layers import async_read
from tests.sqlite._dialects import OURS
from tests.sqlite._ground import (
    CARL,
    DORA,
    EVE,
    NAMES,
    Person,
    async_engine_on,
    async_rollback_journal_on,
    fresh,
    is_locked,
    names,
    people,
    tables,
    with_stock,
)

if TYPE_CHECKING:
    from pathlib import Path


@with_stock("aiosqlite")
async def test_result_does_not_see_what_is_inserted_while_it_is_read(
    driver: str, tmp_path: Path
) -> None:
    """A row inserted for each row that is read does not come up itself."""
    async with async_engine_on(driver, people(tmp_path, 3)) as engine:
        async with engine.begin() as connection:
            found = []
            for (name,) in await connection.execute(NAMES):
                found.append(name)
                key = 100 + len(found)
                assert key < 200, "it never ends"
                row = {"id": key, "name": f"after {name}"}
                await connection.execute(insert(Person), row)
    assert ["1", "2", "3"] == found


@with_stock("aiosqlite")
async def test_result_has_the_rows_that_are_rolled_back(
    driver: str, tmp_path: Path
) -> None:
    """A rollback takes nothing from a result that is executed already."""
    async with async_engine_on(driver, people(tmp_path, 2)) as engine:
        async with engine.connect() as connection:
            await connection.execute(text("INSERT INTO person VALUES (3, '3')"))
            result = await connection.execute(NAMES)
            await connection.rollback()
            assert ["1", "2", "3"] == result.scalars().all()


async def test_result_outlives_a_commit(tmp_path: Path) -> None:
    """A commit, and what is deleted after it, take nothing from a result."""
    async with async_engine_on(OURS, people(tmp_path, 2)) as engine:
        async with engine.connect() as connection:
            result = await connection.execute(NAMES)
            await connection.commit()
            await connection.execute(text("DELETE FROM person"))
            await connection.commit()
            assert ["1", "2"] == result.scalars().all()


async def test_result_outlives_its_connection(tmp_path: Path) -> None:
    """A result can be read after its connection was given back."""
    async with async_engine_on(OURS, people(tmp_path, 2)) as engine:
        async with engine.connect() as connection:
            result = await connection.execute(NAMES)
        assert ["1", "2"] == result.scalars().all()


async def test_result_outlives_its_engine(tmp_path: Path) -> None:
    """A result can be read after its connection was closed."""
    async with async_engine_on(OURS, people(tmp_path, 2)) as engine:
        async with engine.connect() as connection:
            result = await connection.execute(NAMES)
    assert ["1", "2"] == result.scalars().all()


@with_stock("aiosqlite")
async def test_unread_result_is_not_in_the_way_of_a_writer(
    driver: str, tmp_path: Path
) -> None:
    """Without WAL, too, another user can write while a result is not read yet."""
    file = people(tmp_path, 200)
    async with (
        async_rollback_journal_on(driver, file) as engine,
        async_read(engine) as connection,
    ):
        result = await connection.execute(NAMES)
        assert not is_locked(file)
        assert 200 == len(result.all())


@with_stock("aiosqlite")
async def test_unread_result_is_not_in_the_way_of_drop_table(
    driver: str, tmp_path: Path
) -> None:
    """A table can be dropped whose rows are not read yet."""
    file = people(tmp_path, 2)
    async with async_engine_on(driver, file) as engine:
        async with engine.begin() as connection:
            result = await connection.execute(NAMES)
            await connection.execute(text("DROP TABLE person"))
            assert ["1", "2"] == result.scalars().all()
    assert ["letter", "visit"] == tables(file)


@with_stock("aiosqlite")
async def test_invalidated_connection_has_no_lock_while_its_result_is_open(
    driver: str, tmp_path: Path
) -> None:
    """A connection that is given up with a result unread locks nothing."""
    file = people(tmp_path, 200)
    async with async_rollback_journal_on(driver, file) as engine:
        async with engine.connect() as connection:
            result = await connection.execute(NAMES)
            await connection.invalidate()
            assert not is_locked(file)
            result.close()


THIRD_FAILS = text(
    "SELECT CASE WHEN id < 3 THEN name ELSE abs(-9223372036854775807 - 1) END "
    "FROM person ORDER BY id"
)


@with_stock("aiosqlite")
async def test_error_in_a_row_is_raised_at_the_execution(
    driver: str, tmp_path: Path
) -> None:
    """A statement that fails in its third row gives none."""
    async with async_engine_on(driver, people(tmp_path, 4)) as engine:
        async with engine.connect() as connection:
            with pytest.raises(OperationalError, match="integer overflow"):
                await connection.execute(THIRD_FAILS)


async def test_error_in_a_row_leaves_the_transaction(tmp_path: Path) -> None:
    """A transaction goes on after a statement that fails in its third row."""
    file = people(tmp_path, 4)
    async with async_engine_on(OURS, file) as engine:
        async with engine.begin() as connection:
            with pytest.raises(OperationalError, match="integer overflow"):
                await connection.execute(THIRD_FAILS)
            await connection.execute(text("INSERT INTO person VALUES (5, '5')"))
    assert ["1", "2", "3", "4", "5"] == names(file)


async def test_returned_rows_do_not_keep_a_commit_from_happening(
    tmp_path: Path,
) -> None:
    """What an INSERT returns may be read after the commit."""
    file = fresh(tmp_path)
    async with async_engine_on(OURS, file) as engine:
        async with engine.connect() as connection:
            rows = [{"id": 1, "name": "carl"}, {"id": 2, "name": "dora"}]
            statement = insert(Person).returning(Person.name)
            result = await connection.execute(statement, rows)
            await connection.commit()
            assert ["carl", "dora"] == result.scalars().all()
    assert ["carl", "dora"] == names(file)


async def test_rows_are_read_as_one_likes(tmp_path: Path) -> None:
    """One, some, some more and the rest come in order, and then none."""
    async with async_engine_on(OURS, people(tmp_path, 6)) as engine:
        async with engine.connect() as connection:
            result = await connection.execute(NAMES)
            assert ("1",) == result.fetchone()
            assert [("2",), ("3",)] == result.fetchmany(2)
            assert [("4",)] == result.fetchmany(1)
            assert [("5",), ("6",)] == result.fetchall()
            assert [] == result.fetchall()


async def test_result_that_is_closed_is_refused(tmp_path: Path) -> None:
    """SQLAlchemy refuses to read a result that was closed."""
    async with async_engine_on(OURS, people(tmp_path, 2)) as engine:
        async with engine.connect() as connection:
            result = await connection.execute(NAMES)
            result.close()
            with pytest.raises(ResourceClosedError, match="result object is closed"):
                result.fetchone()


async def test_counts_and_keys_are_those_of_the_driver(tmp_path: Path) -> None:
    """`rowcount`, `inserted_primary_key` and `lastrowid` are as ever."""
    async with async_engine_on(OURS, people(tmp_path, 3)) as engine:
        async with engine.connect() as connection:
            inserted = await connection.execute(insert(Person).values(name="carl"))
            assert (4,) == inserted.inserted_primary_key
            assert 4 == inserted.lastrowid
            deleted = await connection.execute(text("DELETE FROM person WHERE id > 1"))
            assert 3 == deleted.rowcount
            rows = [{"id": 7, "name": "dora"}, {"id": 8, "name": "eve"}]
            many = await connection.execute(insert(Person), rows)
            assert 2 == many.rowcount


async def test_objects_are_loaded_while_others_are_flushed(tmp_path: Path) -> None:
    """A session that adds an object for each that it reads ends."""
    async with async_engine_on(OURS, people(tmp_path, 2)) as engine:
        async with AsyncSession(engine) as session:
            found = await session.scalars(select(Person).order_by(Person.id))
            for person in found:
                session.add(Person(id=person.id + 100, name=f"after {person.name}"))
                await session.flush()
            await session.commit()
            after = await session.scalars(NAMES)
            assert ["1", "2", "after 1", "after 2"] == after.all()


async def test_two_connections_read_and_write_at_once(tmp_path: Path) -> None:
    """In WAL a reader does not see, nor stop, what another commits."""
    file = fresh(tmp_path)
    async with async_engine_on(OURS, file) as engine:
        async with engine.connect() as connection, engine.connect() as other:
            await connection.execute(NAMES)
            await other.execute(CARL)
            await other.commit()
            assert [] == list(await connection.scalars(NAMES))
            await other.execute(DORA)
            await connection.rollback()
            assert ["carl"] == list(await connection.scalars(NAMES))
            await other.rollback()
            await connection.rollback()
            await connection.execute(EVE)
            await connection.commit()
    assert ["carl", "eve"] == names(file)
