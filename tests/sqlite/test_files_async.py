"""What becomes of rows whose file is deleted or replaced; under asyncio."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

import pytest
from sqlalchemy.exc import DBAPIError, OperationalError

from tests.sqlite._dialects import OURS, wrong_on
from tests.sqlite._hostile import (
    ADD,
    CREATE,
    IDS,
    async_engine_in,
    deleted,
    deleted_alone,
    ids,
    index_deleted,
    is_sound,
    log_deleted,
    made,
    replaced,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncEngine

Add: TypeAlias = "Callable[[AsyncEngine, Callable[[], None]], Awaitable[list[int]]]"

ACKNOWLEDGED = "the row is acknowledged, and is in no file that anybody can open"
NEW_FILE = "a connection to the old file spoils what the new one shares with it"
NEVER = "the connection to the old file stays in the pool, and never writes again"

both_journals = pytest.mark.parametrize("journal", ["WAL", "DELETE"])
both_losses = pytest.mark.parametrize("befall", [deleted, replaced])


async def between_transactions(
    engine: AsyncEngine, befall: Callable[[], None]
) -> list[int]:
    befall()
    async with engine.begin() as connection:
        await connection.execute(ADD, {"id": 2})
    return [2]


async def before_the_commit(
    engine: AsyncEngine, befall: Callable[[], None]
) -> list[int]:
    async with engine.begin() as connection:
        await connection.execute(ADD, {"id": 2})
        befall()
    return [2]


async def in_autocommit(engine: AsyncEngine, befall: Callable[[], None]) -> list[int]:
    befall()
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(ADD, {"id": 2})
    return [2]


async def acknowledged(
    add: Add,
    engine: AsyncEngine,
    befall: Callable[[], None],
) -> list[int]:
    """Return the rows that were written without an error."""
    with suppress(DBAPIError):
        return await add(engine, befall)
    return []


# --- a file that is deleted or replaced


@pytest.mark.parametrize(
    "add", [between_transactions, before_the_commit, in_autocommit]
)
@both_losses
@wrong_on("aiosqlite", ACKNOWLEDGED)
async def test_row_of_a_lost_file_is_not_acknowledged_in_wal(
    driver: str,
    befall: Callable[[Path], None],
    add: Add,
    tmp_path: Path,
) -> None:
    """A row that nobody can read afterwards is an error, wherever it was written."""
    file = made(tmp_path, "WAL", 1)
    async with async_engine_in("WAL", driver, file) as engine:
        async with engine.connect() as connection:
            await connection.execute(IDS)
        told = await acknowledged(add, engine, lambda: befall(file))
    assert told == [row for row in ids(file) if row == 2]


@both_losses
@wrong_on("aiosqlite", ACKNOWLEDGED)
async def test_row_of_a_lost_file_is_not_acknowledged_by_commit(
    driver: str, befall: Callable[[Path], None], tmp_path: Path
) -> None:
    """Without WAL SQLite looks when it begins to write, and no more at COMMIT."""
    file = made(tmp_path, "DELETE", 1)
    async with async_engine_in("DELETE", driver, file) as engine:
        told = await acknowledged(before_the_commit, engine, lambda: befall(file))
    assert told == [row for row in ids(file) if row == 2]


@pytest.mark.parametrize(
    "add", [between_transactions, before_the_commit, in_autocommit]
)
@both_losses
@both_journals
async def test_error_says_that_the_file_is_lost(
    journal: str,
    befall: Callable[[Path], None],
    add: Add,
    tmp_path: Path,
) -> None:
    """The error names the file, whatever its journal, and is a lost connection."""
    file = made(tmp_path, journal, 1)
    async with async_engine_in(journal, OURS, file) as engine:
        async with engine.connect() as connection:
            await connection.execute(IDS)
        with pytest.raises(OperationalError) as caught:
            await add(engine, lambda: befall(file))
    assert caught.value.connection_invalidated
    assert str(caught.value.orig) == (
        f"The database file was deleted or replaced: seen that {str(file)!r} is not "
        "what this connection opened, so that what it writes is lost; write it "
        "again, on a new connection."
    )


@both_journals
@wrong_on("aiosqlite", NEVER)
async def test_pool_recovers_on_the_file_that_is_there(
    driver: str, journal: str, tmp_path: Path
) -> None:
    """After the error the same engine writes into the file that has taken the place."""
    file = made(tmp_path, journal, 1)
    async with async_engine_in(journal, driver, file) as engine:
        async with engine.connect() as connection:
            await connection.execute(IDS)
        replaced(file)
        with suppress(DBAPIError):
            await between_transactions(engine, lambda: None)
        async with engine.begin() as connection:
            await connection.execute(ADD, {"id": 3})
    assert [3, 100] == ids(file)
    assert is_sound(file)


@both_journals
async def test_reader_of_a_lost_file_reads_on(journal: str, tmp_path: Path) -> None:
    """A connection that does not write sees the rows of the file that it opened."""
    file = made(tmp_path, journal, 1)
    async with async_engine_in(journal, OURS, file) as engine:
        async with engine.connect() as connection:
            await connection.execute(IDS)
        replaced(file)
        async with engine.connect() as connection:
            assert [1] == list(await connection.scalars(IDS))


@wrong_on("aiosqlite", NEW_FILE)
async def test_old_connection_does_not_disturb_the_new_file(
    driver: str, tmp_path: Path
) -> None:
    """A connection to a deleted file leaves the -shm file of the next one alone.

    That is found by its name. The old log is longer than the new one, so that its
    index points behind the end.
    """
    file = tmp_path / "file.db"
    async with async_engine_in("WAL", driver, file) as engine, engine.connect() as old:
        await old.execute(CREATE)
        await old.commit()
        for row in range(30):
            await old.execute(ADD, {"id": row})
            await old.commit()
        deleted_alone(file)
        async with (
            async_engine_in("WAL", driver, file) as other,
            other.connect() as new,
        ):
            await new.execute(CREATE)
            await new.commit()
            with suppress(DBAPIError):
                await old.execute(ADD, {"id": 1000})
                await old.commit()
            await new.execute(ADD, {"id": 1})
            await new.commit()
            assert [1] == list(await new.scalars(IDS))
    assert [1] == ids(file)


# --- the log of a file, and its index


@wrong_on("aiosqlite", ACKNOWLEDGED)
async def test_row_whose_log_is_gone_is_not_acknowledged(
    driver: str, tmp_path: Path
) -> None:
    """A row in a log that was deleted is an error: others do not see it."""
    file = made(tmp_path, "WAL", 1)
    async with (
        async_engine_in("WAL", driver, file) as engine,
        engine.connect() as connection,
    ):
        await connection.execute(ADD, {"id": 2})
        await connection.commit()
        log_deleted(file)
        with pytest.raises(OperationalError, match=r"seen that '.*file\.db-wal'"):
            await connection.execute(ADD, {"id": 3})
            await connection.commit()


async def test_pool_recovers_when_a_log_is_gone(tmp_path: Path) -> None:
    """The last connection to the old log saves its rows, and the next begins one."""
    file = made(tmp_path, "WAL", 1)
    async with async_engine_in("WAL", OURS, file) as engine:
        await between_transactions(engine, lambda: None)
        log_deleted(file)
        with suppress(DBAPIError):
            async with engine.begin() as connection:
                await connection.execute(ADD, {"id": 3})
        async with engine.begin() as connection:
            await connection.execute(ADD, {"id": 4})
        assert {1, 2, 4} <= set(ids(file))
    assert is_sound(file)


async def test_connection_may_leave_its_log_behind(tmp_path: Path) -> None:
    """A log that is gone because its connection left WAL mode is no loss."""
    file = made(tmp_path, "WAL", 1)
    async with (
        async_engine_in("WAL", OURS, file) as engine,
        engine.connect() as connection,
    ):
        for mode in ("DELETE", "WAL", "DELETE"):
            await connection.exec_driver_sql(f"PRAGMA journal_mode = {mode}")
            await connection.rollback()
        await connection.execute(ADD, {"id": 2})
        await connection.commit()
    assert [1, 2] == ids(file)


async def test_index_of_the_log_may_go(tmp_path: Path) -> None:
    """Without its -shm file, which a connection has open, no row is lost."""
    file = made(tmp_path, "WAL", 1)
    async with async_engine_in("WAL", OURS, file) as engine:
        await between_transactions(engine, lambda: None)
        index_deleted(file)
        async with engine.begin() as connection:
            await connection.execute(ADD, {"id": 3})
    assert [1, 2, 3] == ids(file)
