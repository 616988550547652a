"""Rows that are written by aiosqlite's own names, in a transaction of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from tests.sqlite._dialects import OURS, open_async_engine
from tests.sqlite._trips import counted

if TYPE_CHECKING:
    from pathlib import Path


async def test_commit_of_a_raw_write_is_a_trip(tmp_path: Path) -> None:
    """It waits for the disk, which the loop must not."""
    engine = open_async_engine(OURS, tmp_path / "file.db")
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE t (x INTEGER)"))
    async with engine.connect() as connection:
        await connection.execute(text("SELECT count(*) FROM t"))
        raw: Any = (await connection.get_raw_connection()).driver_connection
        await raw.execute("INSERT INTO t VALUES (1)")
        with counted() as trips:
            await connection.commit()
        assert 1 == trips.count
        assert 1 == await connection.scalar(text("SELECT count(*) FROM t"))
    await engine.dispose()
