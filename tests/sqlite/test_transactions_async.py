"""When a transaction begins on SQLite, and what its end undoes, under asyncio."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from async_layers import SQLiteOptions, async_transaction
from tests.sqlite._dialects import OURS, wrong_on
from tests.sqlite._ground import (
    CARL,
    DORA,
    EVE,
    NAMES,
    Person,
    async_engine_on,
    fresh,
    names,
    sent,
    tables,
)

if TYPE_CHECKING:
    from pathlib import Path


@wrong_on("aiosqlite", "BEGIN goes out with the first INSERT, not with a SELECT")
async def test_begin_goes_out_with_the_first_statement(
    driver: str, tmp_path: Path
) -> None:
    """A transaction begins with its first statement, whatever that is."""
    async with async_engine_on(driver, fresh(tmp_path)) as engine:
        seen = sent(engine.sync_engine)
        async with engine.connect() as connection, connection.begin():
            assert [] == seen
            await connection.execute(NAMES)
            await connection.execute(CARL)
    assert [
        "BEGIN",
        "SELECT name FROM person ORDER BY id",
        "INSERT INTO person VALUES (1, 'carl')",
        "COMMIT",
    ] == seen


async def test_transaction_without_a_statement_sends_nothing(tmp_path: Path) -> None:
    """SQLite is not told of a transaction in which nothing happens."""
    async with async_engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine.sync_engine)
        async with engine.begin():
            pass
        async with engine.connect() as connection:
            await connection.begin()
    assert [] == seen


async def test_next_statement_begins_the_next_transaction(tmp_path: Path) -> None:
    """After a commit or a rollback the next statement begins again."""
    async with async_engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine.sync_engine)
        async with engine.connect() as connection:
            await connection.execute(CARL)
            await connection.commit()
            await connection.execute(DORA)
            await connection.rollback()
            await connection.execute(EVE)
    assert [
        "BEGIN",
        "INSERT INTO person VALUES (1, 'carl')",
        "COMMIT",
        "BEGIN",
        "INSERT INTO person VALUES (2, 'dora')",
        "ROLLBACK",
        "BEGIN",
        "INSERT INTO person VALUES (3, 'eve')",
        "ROLLBACK",
    ] == seen


async def test_many_parameters_are_one_transaction(tmp_path: Path) -> None:
    """BEGIN goes out once ahead of a statement with many parameters."""
    async with async_engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine.sync_engine)
        async with engine.begin() as connection:
            rows = [{"id": 1, "name": "carl"}, {"id": 2, "name": "dora"}]
            await connection.execute(insert(Person), rows)
    assert [
        "BEGIN",
        "INSERT INTO person (id, name) VALUES (1, 'carl')",
        "INSERT INTO person (id, name) VALUES (2, 'dora')",
        "COMMIT",
    ] == seen


async def test_stream_begins_a_transaction(tmp_path: Path) -> None:
    """BEGIN goes out ahead of a result that is read in batches."""
    async with async_engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine.sync_engine)
        async with engine.connect() as connection:
            await connection.execution_options(yield_per=1)
            async with connection.stream(NAMES) as result:
                assert [] == await result.all()
    assert ["BEGIN", "SELECT name FROM person ORDER BY id", "ROLLBACK"] == seen


async def test_first_statement_that_fails_has_begun(tmp_path: Path) -> None:
    """A statement that fails leaves a transaction, whose next one goes on."""
    async with async_engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine.sync_engine)
        async with engine.begin() as connection:
            with pytest.raises(OperationalError, match="no such table: nowhere"):
                await connection.execute(text("SELECT * FROM nowhere"))
            await connection.execute(CARL)
    assert ["BEGIN", "INSERT INTO person VALUES (1, 'carl')", "COMMIT"] == seen


@wrong_on("aiosqlite", "a SELECT is a transaction of its own")
async def test_what_was_read_stays_as_it_was(driver: str, tmp_path: Path) -> None:
    """Two reads of one transaction see the same, whoever commits in between."""
    file = fresh(tmp_path)
    async with async_engine_on(driver, file) as engine:
        async with engine.connect() as connection:
            assert [] == list(await connection.scalars(NAMES))
            with closing(sqlite3.connect(file)) as outside, outside:
                outside.execute(CARL.text)
            assert [] == list(await connection.scalars(NAMES))
        async with engine.connect() as connection:
            assert ["carl"] == list(await connection.scalars(NAMES))


async def test_write_takes_the_lock_with_the_first_statement(tmp_path: Path) -> None:
    """With write=True a transaction begins as a writer, even where it reads first."""
    async with async_engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine.sync_engine)
        async with async_transaction(engine, write=True) as connection:
            await connection.execute(NAMES)
    assert [
        "PRAGMA busy_timeout",
        "PRAGMA busy_timeout = 0",
        "BEGIN IMMEDIATE",
        "PRAGMA busy_timeout = 5000",
        "SELECT name FROM person ORDER BY id",
        "COMMIT",
    ] == seen


async def test_engines_option_says_how_to_begin(tmp_path: Path) -> None:
    """SQLiteOptions(begin=...) is the BEGIN of each transaction of an engine."""
    options = SQLiteOptions(begin="EXCLUSIVE")
    async with async_engine_on(OURS, fresh(tmp_path), sqlite=options) as engine:
        seen = sent(engine.sync_engine)
        async with engine.begin() as connection:
            await connection.execute(CARL)
    assert ["BEGIN EXCLUSIVE"] == [it for it in seen if it.startswith("BEGIN")]


async def test_execution_option_of_an_engine_says_how_to_begin(tmp_path: Path) -> None:
    """`sqlite_begin` among the engine's execution options is heard."""
    options = {"sqlite_begin": "IMMEDIATE"}
    file = fresh(tmp_path)
    async with async_engine_on(OURS, file, execution_options=options) as engine:
        seen = sent(engine.sync_engine)
        async with engine.begin() as connection:
            await connection.execute(CARL)
    assert ["BEGIN IMMEDIATE"] == [it for it in seen if it.startswith("BEGIN")]


async def test_execution_option_of_a_connection_ends_with_it(tmp_path: Path) -> None:
    """`sqlite_begin` on a connection is not heard by the next one."""
    async with async_engine_on(OURS, fresh(tmp_path), pool_size=1) as engine:
        seen = sent(engine.sync_engine)
        async with engine.connect() as connection:
            await connection.execution_options(sqlite_begin="EXCLUSIVE")
            await connection.execute(CARL)
        async with engine.connect() as connection:
            await connection.execute(CARL)
    begins = [it for it in seen if it.startswith("BEGIN")]
    assert ["BEGIN EXCLUSIVE", "BEGIN"] == begins


async def test_execution_option_of_an_engines_copy_says_how_to_begin(
    tmp_path: Path,
) -> None:
    """An engine with `sqlite_begin` beside one without is told, and no other."""
    async with async_engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine.sync_engine)
        copy = engine.execution_options(sqlite_begin="EXCLUSIVE")
        async with copy.begin() as connection:
            await connection.execute(CARL)
        async with engine.begin() as connection:
            await connection.execute(DORA)
    begins = [it for it in seen if it.startswith("BEGIN")]
    assert ["BEGIN EXCLUSIVE", "BEGIN"] == begins


async def test_execution_option_of_a_statement_says_how_to_begin(
    tmp_path: Path,
) -> None:
    """`sqlite_begin` on the first statement of a transaction is heard."""
    async with async_engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine.sync_engine)
        async with engine.begin() as connection:
            options = {"sqlite_begin": "EXCLUSIVE"}
            await connection.execute(CARL, execution_options=options)
    assert ["BEGIN EXCLUSIVE"] == [it for it in seen if it.startswith("BEGIN")]


async def test_execution_option_of_a_session_says_how_to_begin(tmp_path: Path) -> None:
    """`sqlite_begin` on the connection of a session holds for its transaction."""
    async with async_engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine.sync_engine)
        async with AsyncSession(engine) as session:
            await session.connection(execution_options={"sqlite_begin": "EXCLUSIVE"})
            session.add(Person(id=1, name="carl"))
            await session.commit()
            session.add(Person(id=2, name="dora"))
            await session.commit()
    begins = [it for it in seen if it.startswith("BEGIN")]
    assert ["BEGIN EXCLUSIVE", "BEGIN"] == begins


async def test_without_a_begin_the_driver_begins(tmp_path: Path) -> None:
    """SQLiteOptions(begin=None) leaves beginning to sqlite3, ahead of an INSERT."""
    options = SQLiteOptions(begin=None)
    async with async_engine_on(OURS, fresh(tmp_path), sqlite=options) as engine:
        seen = sent(engine.sync_engine)
        async with engine.begin() as connection:
            await connection.execute(NAMES)
            await connection.execute(CARL)
    assert [
        "SELECT name FROM person ORDER BY id",
        "BEGIN ",
        "INSERT INTO person VALUES (1, 'carl')",
        "COMMIT",
    ] == seen


@pytest.mark.parametrize("begin", ["DEFERRED", "IMMEDIATE", None])
async def test_write_takes_the_lock_whoever_begins(begin: str, tmp_path: Path) -> None:
    """There are no two writers, also where the engine begins another way."""
    options = SQLiteOptions(begin=begin, busy_timeout=0.05)  # type: ignore[arg-type]
    async with async_engine_on(OURS, fresh(tmp_path), sqlite=options) as engine:
        async with async_transaction(engine, write=True) as connection:
            await connection.execute(NAMES)
            with pytest.raises(OperationalError, match="database is locked"):
                async with async_transaction(engine, write=True) as other:
                    await other.execute(NAMES)


@pytest.mark.parametrize("begin", ["DEFERRED", "IMMEDIATE", None])
async def test_read_only_is_kept_whoever_begins(begin: str, tmp_path: Path) -> None:
    """SQLite refuses to write in a transaction that reads, and in no other."""
    options = SQLiteOptions(begin=begin)  # type: ignore[arg-type]
    file = fresh(tmp_path)
    async with async_engine_on(OURS, file, sqlite=options, pool_size=1) as engine:
        for _ in range(2):
            with pytest.raises(OperationalError, match="readonly"):
                async with async_transaction(engine, read_only=True) as connection:
                    await connection.execute(CARL)
        async with async_transaction(engine) as connection:
            await connection.execute(DORA)
    assert ["dora"] == names(file)


@wrong_on("aiosqlite", "a savepoint is released into nothing, which commits it")
async def test_savepoint_first_is_rolled_back(driver: str, tmp_path: Path) -> None:
    """A savepoint that comes first belongs to the transaction around it."""
    file = fresh(tmp_path)
    async with async_engine_on(driver, file) as engine:
        seen = sent(engine.sync_engine)
        async with engine.connect() as connection:
            async with connection.begin_nested():
                await connection.execute(CARL)
            await connection.rollback()
    assert [] == names(file)
    assert [
        "BEGIN",
        "SAVEPOINT sa_savepoint_1",
        "INSERT INTO person VALUES (1, 'carl')",
        "RELEASE SAVEPOINT sa_savepoint_1",
        "ROLLBACK",
    ] == seen


async def test_savepoints_are_rolled_back_one_by_one(tmp_path: Path) -> None:
    """What a savepoint's rollback undoes is what came after it, three deep."""
    file = fresh(tmp_path)
    async with async_engine_on(OURS, file) as engine:
        async with engine.begin() as connection:
            outer = await connection.begin_nested()
            await connection.execute(CARL)
            middle = await connection.begin_nested()
            await connection.execute(DORA)
            inner = await connection.begin_nested()
            await connection.execute(EVE)
            await inner.commit()
            await middle.rollback()
            assert ["carl"] == list(await connection.scalars(NAMES))
            await connection.execute(EVE)
            await outer.commit()
    assert ["carl", "eve"] == names(file)


async def test_error_in_a_savepoint_keeps_what_was_before(tmp_path: Path) -> None:
    """An exception that leaves a savepoint undoes that, and nothing else."""
    file = fresh(tmp_path)
    async with async_engine_on(OURS, file) as engine:
        async with engine.begin() as connection:
            await connection.execute(CARL)
            with pytest.raises(LookupError):
                async with connection.begin_nested():
                    await connection.execute(DORA)
                    raise LookupError
            await connection.execute(EVE)
    assert ["carl", "eve"] == names(file)


@wrong_on("aiosqlite", "sqlite3 begins no transaction for DDL")
async def test_table_made_first_is_rolled_back(driver: str, tmp_path: Path) -> None:
    """CREATE TABLE is part of its transaction, also where it is the first statement."""
    file = fresh(tmp_path)
    async with async_engine_on(driver, file) as engine:
        async with engine.connect() as connection:
            await connection.execute(text("CREATE TABLE town (id INTEGER)"))
            await connection.rollback()
    assert ["person", "letter", "visit"] == tables(file)


@wrong_on("aiosqlite", "sqlite3 begins no transaction for DDL")
async def test_table_dropped_first_is_rolled_back(driver: str, tmp_path: Path) -> None:
    """DROP TABLE is part of its transaction, also where it is the first statement."""
    file = fresh(tmp_path)
    async with async_engine_on(driver, file) as engine:
        async with engine.connect() as connection:
            await connection.execute(text("DROP TABLE letter"))
            await connection.rollback()
    assert ["person", "letter", "visit"] == tables(file)
