"""What a full disk leaves: a whole transaction or none, and a pool, under asyncio."""

from __future__ import annotations

import resource
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from tests.sqlite._dialects import OURS, wrong_on
from tests.sqlite._hostile import (
    ADD,
    Seen,
    async_engine_in,
    ids,
    is_sound,
    made,
    seen,
)
from tests.sqlite._processes import told_by

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

SECOND_HALF = "the rest of the transaction is committed without its beginning"

BIG = text("INSERT INTO t VALUES (:id, zeroblob(100000))")
LIMIT = text("PRAGMA max_page_count = 10")
GONE = (
    "The transaction is gone: seen SQLite roll it back after 'database or disk is "
    "full'; write rollback() and run the whole transaction again."
)

both_journals = pytest.mark.parametrize("journal", ["WAL", "DELETE"])


async def fill(connection: AsyncConnection) -> OperationalError:
    """Write a row, and one that is too big; return the error."""
    await connection.execute(LIMIT)
    await connection.execute(ADD, {"id": 2})
    with pytest.raises(OperationalError) as caught:
        await connection.execute(BIG, {"id": 3})
    return caught.value


# --- a database that may not grow


@both_journals
@wrong_on("aiosqlite", SECOND_HALF)
async def test_full_disk_leaves_no_half_of_a_transaction(
    driver: str, journal: str, tmp_path: Path
) -> None:
    """Whoever goes on after the error commits nothing: SQLite has rolled back."""
    file = made(tmp_path, journal, 1)
    async with async_engine_in(journal, driver, file) as engine:
        with suppress(OperationalError):
            async with engine.begin() as connection:
                await fill(connection)
                await connection.execute(ADD, {"id": 4})
    assert [1] == ids(file)


@both_journals
async def test_full_disk_is_an_operational_error(journal: str, tmp_path: Path) -> None:
    """The error is SQLite's own."""
    file = made(tmp_path, journal, 1)
    async with (
        async_engine_in(journal, OURS, file) as engine,
        engine.connect() as connection,
    ):
        error = await fill(connection)
    assert seen(error) == (
        "OperationalError",
        "database or disk is full",
        "SQLITE_FULL",
    )


@both_journals
async def test_statement_after_a_full_disk_is_refused(
    journal: str, tmp_path: Path
) -> None:
    """A transaction that SQLite has rolled back takes no more statements."""
    file = made(tmp_path, journal, 1)
    async with (
        async_engine_in(journal, OURS, file) as engine,
        engine.connect() as connection,
    ):
        await fill(connection)
        with pytest.raises(OperationalError) as caught:
            await connection.execute(ADD, {"id": 4})
    assert GONE == str(caught.value.orig)


@both_journals
async def test_commit_after_a_full_disk_is_refused(
    journal: str, tmp_path: Path
) -> None:
    """A transaction that SQLite has rolled back is not said to be committed."""
    file = made(tmp_path, journal, 1)
    async with (
        async_engine_in(journal, OURS, file) as engine,
        engine.connect() as connection,
    ):
        await fill(connection)
        with pytest.raises(OperationalError) as caught:
            await connection.commit()
    assert GONE == str(caught.value.orig)


@both_journals
async def test_connection_goes_on_after_the_rollback(
    journal: str, tmp_path: Path
) -> None:
    """The next transaction of the same connection is like any other."""
    file = made(tmp_path, journal, 1)
    async with (
        async_engine_in(journal, OURS, file) as engine,
        engine.connect() as connection,
    ):
        await fill(connection)
        await connection.rollback()
        await connection.execute(ADD, {"id": 4})
        await connection.commit()
    assert [1, 4] == ids(file)


@both_journals
async def test_pool_goes_on_after_a_full_disk(journal: str, tmp_path: Path) -> None:
    """The next user of the connection finds nothing of the transaction."""
    file = made(tmp_path, journal, 1)
    async with async_engine_in(journal, OURS, file) as engine:
        with pytest.raises(OperationalError, match="full"):
            async with engine.begin() as first:
                raise await fill(first)
        assert 0 == engine.pool.checkedout()  # type: ignore[attr-defined]
        async with engine.begin() as second:
            await second.execute(ADD, {"id": 4})
    assert [1, 4] == ids(file)


@both_journals
async def test_full_disk_in_a_savepoint_ends_the_transaction(
    journal: str, tmp_path: Path
) -> None:
    """SQLite rolls back all of it, and there is no savepoint left to return to."""
    file = made(tmp_path, journal, 1)
    async with async_engine_in(journal, OURS, file) as engine:
        with pytest.raises(OperationalError, match="The transaction is gone"):
            async with engine.begin() as connection:
                await connection.execute(ADD, {"id": 9})
                with suppress(OperationalError):
                    async with connection.begin_nested():
                        await fill(connection)
                await connection.execute(ADD, {"id": 4})
    assert [1] == ids(file)


@both_journals
async def test_full_disk_leaves_none_of_many_rows(journal: str, tmp_path: Path) -> None:
    """An INSERT of many rows, the last of which has no room, has inserted none."""
    file = made(tmp_path, journal, 1)
    async with async_engine_in(journal, OURS, file) as engine:
        with pytest.raises(OperationalError, match="full"):
            async with engine.begin() as connection:
                await connection.execute(LIMIT)
                rows = text("INSERT INTO t VALUES (:id, zeroblob(:size))")
                sizes = [{"id": n, "size": 10**n} for n in range(2, 7)]
                await connection.execute(rows, sizes)
    assert [1] == ids(file)


@both_journals
async def test_full_disk_leaves_what_autocommit_has_committed(
    journal: str, tmp_path: Path
) -> None:
    """In AUTOCOMMIT the row that has no room is the only one that is missing."""
    file = made(tmp_path, journal, 1)
    async with (
        async_engine_in(journal, OURS, file) as engine,
        engine.connect() as connection,
    ):
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await fill(connection)
        await connection.execute(ADD, {"id": 4})
    assert [1, 2, 4] == ids(file)


@both_journals
async def test_session_goes_on_after_a_full_disk(journal: str, tmp_path: Path) -> None:
    """A session that has rolled back begins again."""
    file = made(tmp_path, journal, 1)
    async with (
        async_engine_in(journal, OURS, file) as engine,
        AsyncSession(engine) as session,
    ):
        await fill(await session.connection())
        await session.rollback()
        await session.execute(ADD, {"id": 4})
        await session.commit()
    assert [1, 4] == ids(file)


# --- a file system that takes no more


def limit(size: int) -> None:
    """Let no file of this process grow beyond a number of bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def at_commit(connection: AsyncConnection) -> list[Seen]:
    limit(50_000)
    await connection.execute(BIG, {"id": 3})
    with pytest.raises(OperationalError) as caught:
        await connection.commit()
    return [seen(caught.value)]


async def in_statements(connection: AsyncConnection) -> list[Seen]:
    limit(50_000)
    await connection.exec_driver_sql("PRAGMA cache_size = 5")
    errors = list[Seen]()
    for _ in range(2):
        with pytest.raises(OperationalError) as caught:
            await connection.execute(BIG, {"id": 3})
        errors.append(seen(caught.value))
    return errors


async def write_beyond_a_limit(path: str) -> dict[str, object]:
    """Say what becomes of what has no room on the disk, and of the next row."""
    told = dict[str, object]()
    for journal, write in product(("WAL", "DELETE"), (at_commit, in_statements)):
        name = f"{journal} {write.__name__}"
        file = made(Path(path) / name, journal, 1)
        async with (
            async_engine_in(journal, OURS, file) as engine,
            engine.connect() as connection,
        ):
            await connection.execute(ADD, {"id": 2})
            errors = await write(connection)
            limit(resource.RLIM_INFINITY)
            await connection.rollback()
            await connection.execute(ADD, {"id": 4})
            await connection.commit()
        told[name] = errors, ids(file), is_sound(file)
    return told


@pytest.fixture(scope="module")
def beyond(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Return what becomes of what has no room on the disk."""
    told: dict[str, object] = told_by(
        write_beyond_a_limit, tmp_path_factory.mktemp("beyond")
    )
    return told


@both_journals
def test_commit_that_cannot_be_written_is_rolled_back(
    journal: str, beyond: dict[str, object]
) -> None:
    """An input/output error at COMMIT leaves nothing of the transaction."""
    assert beyond[f"{journal} at_commit"] == [
        [["OperationalError", "disk I/O error", "SQLITE_IOERR_WRITE"]],
        [1, 4],
        True,
    ]


@both_journals
def test_statement_that_cannot_be_written_ends_the_transaction(
    journal: str, beyond: dict[str, object]
) -> None:
    """An input/output error in a statement leaves nothing, and the next is refused."""
    gone = (
        "The transaction is gone: seen SQLite roll it back after 'disk I/O error'; "
        "write rollback() and run the whole transaction again."
    )
    assert beyond[f"{journal} in_statements"] == [
        [
            ["OperationalError", "disk I/O error", "SQLITE_IOERR_WRITE"],
            ["OperationalError", gone, ""],
        ],
        [1, 4],
        True,
    ]
