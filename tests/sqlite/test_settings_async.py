"""What each connection is told, and what the user says instead, under asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError, OperationalError

from async_layers import SQLiteOptions, async_engine_scope
from tests.sqlite._dialects import OURS
from tests.sqlite._ground import CARL, NAMES, async_engine_on, fresh, people

if TYPE_CHECKING:
    from pathlib import Path

FOREIGN_KEYS = text("PRAGMA foreign_keys")
JOURNAL = text("PRAGMA journal_mode")
TIMEOUT = text("PRAGMA busy_timeout")


async def test_connection_is_told_the_defaults(tmp_path: Path) -> None:
    """Foreign keys hold, the journal is WAL, and locks are waited for."""
    async with async_engine_on(OURS, fresh(tmp_path)) as engine:
        async with engine.connect() as connection:
            assert 1 == await connection.scalar(FOREIGN_KEYS)
            assert "wal" == await connection.scalar(JOURNAL)
            assert 5000 == await connection.scalar(TIMEOUT)


async def test_connection_is_told_the_options(tmp_path: Path) -> None:
    """Each option is told to SQLite."""
    options = SQLiteOptions(
        foreign_keys=False, journal_mode="TRUNCATE", busy_timeout=0.25
    )
    async with async_engine_on(OURS, fresh(tmp_path), sqlite=options) as engine:
        async with engine.connect() as connection:
            assert 0 == await connection.scalar(FOREIGN_KEYS)
            assert "truncate" == await connection.scalar(JOURNAL)
            assert 250 == await connection.scalar(TIMEOUT)


async def test_options_can_be_none(tmp_path: Path) -> None:
    """Without options SQLite and sqlite3 keep their defaults."""
    options = SQLiteOptions(foreign_keys=False, journal_mode=None, busy_timeout=None)
    async with async_engine_on(OURS, fresh(tmp_path), sqlite=options) as engine:
        async with engine.connect() as connection:
            assert 0 == await connection.scalar(FOREIGN_KEYS)
            assert "delete" == await connection.scalar(JOURNAL)
            assert 5000 == await connection.scalar(TIMEOUT)


async def test_timeout_of_the_url_wins(tmp_path: Path) -> None:
    """A timeout in the URL is the one that holds."""
    async with async_engine_scope(
        f"sqlite:///{fresh(tmp_path)}?timeout=0.25"
    ) as engine:
        async with engine.connect() as connection:
            assert 250 == await connection.scalar(TIMEOUT)


async def test_timeout_among_the_arguments_wins(tmp_path: Path) -> None:
    """A timeout among the arguments of sqlite3 is the one that holds."""
    async with async_engine_on(
        OURS, fresh(tmp_path), connect_args={"timeout": 0.5}
    ) as engine:
        async with engine.connect() as connection:
            assert 500 == await connection.scalar(TIMEOUT)


async def test_page_size_can_be_chosen_without_wal(tmp_path: Path) -> None:
    """A setting of the first page is heard where no journal was chosen before it."""
    options = SQLiteOptions(journal_mode=None)
    async with async_engine_on(OURS, tmp_path / "new.db", sqlite=options) as engine:
        async with engine.begin() as connection:
            await connection.execute(text("PRAGMA page_size = 8192"))
            await connection.execute(text("CREATE TABLE town (id INTEGER)"))
        async with engine.connect() as connection:
            assert 8192 == await connection.scalar(text("PRAGMA page_size"))


# --- URIs


async def test_database_that_is_only_read_refuses_to_write(tmp_path: Path) -> None:
    """With mode=ro rows are read, and none is written."""
    url = f"sqlite:///file:{people(tmp_path, 2)}?mode=ro&uri=true"
    async with async_engine_scope(url) as engine:
        async with engine.connect() as connection:
            assert ["1", "2"] == list(await connection.scalars(NAMES))
            with pytest.raises(OperationalError, match="readonly database"):
                await connection.execute(CARL)


async def test_database_that_is_only_read_keeps_its_journal(tmp_path: Path) -> None:
    """With mode=ro the journal is the one that the file has."""
    url = f"sqlite:///file:{fresh(tmp_path)}?mode=ro&uri=true"
    async with async_engine_scope(url) as engine:
        async with engine.connect() as connection:
            assert "delete" == await connection.scalar(JOURNAL)


async def test_immutable_database_is_read(tmp_path: Path) -> None:
    """With immutable=1 a file is read without any lock."""
    url = f"sqlite:///file:{people(tmp_path, 2)}?immutable=1&uri=true"
    async with async_engine_scope(url) as engine:
        async with engine.connect() as connection:
            assert ["1", "2"] == list(await connection.scalars(NAMES))


async def test_missing_database_is_not_made(tmp_path: Path) -> None:
    """With mode=rw a file that is not there is an error."""
    url = f"sqlite:///file:{tmp_path / 'new.db'}?mode=rw&uri=true"
    async with async_engine_scope(url) as engine:
        with pytest.raises(OperationalError, match="unable to open database file"):
            await engine.connect()


async def test_connections_with_a_shared_cache_share_it(tmp_path: Path) -> None:
    """With cache=shared a table that is being written is locked for the others.

    Source: https://sqlite.org/sharedcache.html, 2.2, "Table Level Locking".
    """
    url = f"sqlite:///file:{people(tmp_path, 2)}?cache=shared&uri=true"
    async with async_engine_scope(url) as engine:
        async with engine.connect() as connection, engine.connect() as other:
            await connection.execute(text("DELETE FROM person"))
            with pytest.raises(OperationalError, match="table is locked: person"):
                await other.execute(NAMES)
            await other.rollback()
            await other.execution_options(isolation_level="READ UNCOMMITTED")
            assert [] == list(await other.scalars(NAMES))


async def test_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    """An error of a new connection is not mistaken for a journal that is kept."""
    (tmp_path / "file.db").write_bytes(b"no database at all" * 100)
    async with async_engine_on(OURS, tmp_path / "file.db") as engine:
        with pytest.raises(DatabaseError, match="not a database"):
            await engine.connect()
