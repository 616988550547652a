"""SQLAlchemy's own dialects of SQLite, by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from async_layers import (
    SQLiteOptions,
    async_engine_scope,
    create_async_engine,
    create_engine,
    engine_scope,
)
from tests.sqlite._ground import CARL, fresh, names

if TYPE_CHECKING:
    from pathlib import Path


def test_stock_driver_is_told_nothing(tmp_path: Path) -> None:
    """The options' defaults are no hindrance to pysqlite, which does not know them."""
    file = fresh(tmp_path)
    engine = create_engine(f"sqlite+pysqlite:///{file}", sqlite=SQLiteOptions())
    with engine_scope(engine), engine.begin() as connection:
        connection.execute(CARL)
    assert "sqlalchemy.dialects.sqlite.pysqlite" == type(engine.dialect).__module__
    assert ["carl"] == names(file)


async def test_stock_driver_is_told_nothing_under_asyncio(tmp_path: Path) -> None:
    """The options' defaults are no hindrance to aiosqlite, which does not know them."""
    file = fresh(tmp_path)
    engine = create_async_engine(f"sqlite+aiosqlite:///{file}", sqlite=SQLiteOptions())
    async with async_engine_scope(engine), engine.begin() as connection:
        await connection.execute(CARL)
    assert "sqlalchemy.dialects.sqlite.aiosqlite" == type(engine.dialect).__module__
    assert ["carl"] == names(file)
