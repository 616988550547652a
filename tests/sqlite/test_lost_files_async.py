"""What SQLite and the pool say of a file that went away, under asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import OperationalError

from async_layers import async_transaction
from tests.sqlite._dialects import OURS
from tests.sqlite._ground import async_engine_on
from tests.sqlite._hostile import (
    ADD,
    IDS,
    async_engine_in,
    deleted,
    ids,
    made,
    replaced,
)

if TYPE_CHECKING:
    from pathlib import Path

LOST = r"The database file was deleted or replaced: seen that '.*file\.db' is not what"


async def test_commit_without_its_journal_is_a_lost_file(tmp_path: Path) -> None:
    """A COMMIT that SQLite refuses names the file, and loses the connection."""
    file = made(tmp_path, "DELETE", 1)
    async with async_engine_in("DELETE", OURS, file) as engine:
        async with engine.connect() as connection:
            await connection.execute(ADD, {"id": 2})
            deleted(file)
            file.with_name("file.db-journal").unlink()
            with pytest.raises(OperationalError, match=LOST) as caught:
                await connection.commit()
            assert connection.invalidated
    assert "disk I/O error" == str(caught.value.orig.__cause__)  # type: ignore[union-attr]


async def test_statement_on_a_file_that_went_meanwhile_is_a_lost_file(
    tmp_path: Path,
) -> None:
    """A transaction that has the write lock of a deleted file cannot write."""
    file = made(tmp_path, "DELETE", 1)
    async with async_engine_in("DELETE", OURS, file) as engine:
        with pytest.raises(OperationalError, match=LOST) as caught:
            async with async_transaction(engine, write=True) as connection:
                assert [1] == list(await connection.scalars(IDS))
                deleted(file)
                await connection.execute(ADD, {"id": 2})
    assert caught.value.connection_invalidated
    assert [] == ids(file)


async def test_pre_ping_replaces_the_connection_of_a_lost_file(tmp_path: Path) -> None:
    """A connection whose file was replaced in the meantime is not lent to anybody."""
    file = made(tmp_path, "WAL", 1)
    async with async_engine_on(OURS, file, pool_pre_ping=True) as engine:
        async with engine.connect() as connection:
            assert [1] == list(await connection.scalars(IDS))
        replaced(file)
        async with engine.connect() as connection:
            assert [100] == list(await connection.scalars(IDS))
