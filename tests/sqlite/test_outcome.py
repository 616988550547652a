"""A COMMIT of SQLite that waits, and is cancelled, is told how it ended."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
import sqlalchemy.ext.asyncio
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from async_layers import (
    Outcome,
    SQLiteOptions,
    async_engine_scope,
    async_transaction,
    engine_scope,
    transaction,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OLD = SQLiteOptions(journal_mode="DELETE", busy_timeout=5.0)
IMPATIENT = SQLiteOptions(journal_mode="DELETE", busy_timeout=0.05)
INSERT = text("INSERT INTO person VALUES ('carl')")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file with a table, whose readers keep a COMMIT waiting."""
    path = tmp_path / "file.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE person (name)")
        connection.execute("INSERT INTO person VALUES ('anna')")
        connection.commit()
    return path


@contextmanager
def reading(file: Path) -> Iterator[sqlite3.Connection]:
    """Lend a connection that is reading, which a COMMIT waits for."""
    with closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM person").fetchall()
        yield reader


def names(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM person")]


async def test_commit_ends_before_the_cancellation(file: Path) -> None:
    """A COMMIT that waits for a reader is waited for."""
    async with async_engine_scope(f"sqlite:///{file}", sqlite=OLD) as engine:
        scope, leaving = async_transaction(engine), asyncio.Event()

        async def work() -> None:
            async with scope as connection:
                await connection.execute(INSERT)
                leaving.set()

        with reading(file) as reader:
            task = asyncio.create_task(work())
            await leaving.wait()
            await asyncio.wait((task,), timeout=0.02)
            task.cancel()
            await asyncio.wait((task,), timeout=0.02)
            assert not task.done()
            reader.rollback()
            with pytest.raises(asyncio.CancelledError) as raised:
                await task
    assert ["The transaction was committed."] == raised.value.__notes__
    assert (Outcome.COMMITTED, ["anna", "carl"]) == (scope.outcome, names(file))


async def test_commit_is_waited_for_within_a_bound(file: Path) -> None:
    """A COMMIT that waits for longer is given up; it may happen all the same."""
    url, options = f"sqlite:///{file}", {"finish_within": 0.05}
    async with async_engine_scope(url, sqlite=OLD, execution_options=options) as engine:
        scope, leaving = async_transaction(engine), asyncio.Event()

        async def work() -> None:
            async with scope as connection:
                await connection.execute(INSERT)
                leaving.set()

        with reading(file):
            task = asyncio.create_task(work())
            await leaving.wait()
            await asyncio.wait((task,), timeout=0.02)
            task.cancel()
            done, _ = await asyncio.wait((task,), timeout=2)
            assert {task} == done
            assert task.cancelled()
        assert Outcome.UNKNOWN is scope.outcome
    # Nothing interrupts SQLite while it waits: its thread has committed since.
    assert ["anna", "carl"] == names(file)


async def test_refused_commit_is_rolled_back_async(file: Path) -> None:
    """A COMMIT that finds its readers too slow has rolled back."""
    async with async_engine_scope(f"sqlite:///{file}", sqlite=IMPATIENT) as engine:
        scope = async_transaction(engine)
        with reading(file), pytest.raises(OperationalError) as raised:
            async with scope as connection:
                await connection.execute(INSERT)
    assert ["The transaction was rolled back."] == raised.value.__notes__
    assert (Outcome.ROLLED_BACK, ["anna"]) == (scope.outcome, names(file))


def test_refused_commit_is_rolled_back(file: Path) -> None:
    """A COMMIT that finds its readers too slow has rolled back."""
    with engine_scope(f"sqlite:///{file}", sqlite=IMPATIENT) as engine:
        scope = transaction(engine)
        with reading(file), pytest.raises(OperationalError) as raised:
            with scope as connection:
                connection.execute(INSERT)
    assert ["The transaction was rolled back."] == raised.value.__notes__
    assert (Outcome.ROLLED_BACK, ["anna"]) == (scope.outcome, names(file))


async def test_dialect_alone_waits_for_its_commit(file: Path) -> None:
    """On an engine of SQLAlchemy's the dialect itself sees COMMIT to its end."""
    engine = sqlalchemy.ext.asyncio.create_async_engine(
        f"sqlite+async_layers_async:///{file}", sqlite=OLD
    )
    connection = await engine.connect()
    await connection.execute(INSERT)
    with reading(file) as reader:
        task = asyncio.create_task(connection.commit())
        await asyncio.wait((task,), timeout=0.02)
        task.cancel()
        await asyncio.wait((task,), timeout=0.02)
        assert not task.done()
        reader.rollback()
        with pytest.raises(asyncio.CancelledError):
            await task
    await connection.close()
    await engine.dispose()
    assert ["anna", "carl"] == names(file)
