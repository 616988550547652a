"""Engines of this project's SQLite dialects, and of SQLAlchemy's own beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

import async_layers

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from sqlalchemy import Engine

OURS, BLOCKING, ASYNCIO = "async_layers", "pysqlite", "aiosqlite"


def wrong_on(driver: str, reason: str) -> pytest.MarkDecorator:
    """Run a test on our dialect, where it passes, and on a stock one, where it fails.

    The test takes `driver`. A stock dialect that no longer fails is an error: then
    the reason has to go.
    """
    mark = pytest.mark.xfail(
        strict=True,
        reason=reason,
        raises=(
            AssertionError,
            pytest.fail.Exception,
            sqlalchemy.exc.SQLAlchemyError,
            TimeoutError,
        ),
    )
    return pytest.mark.parametrize("driver", [OURS, pytest.param(driver, marks=mark)])


def open_engine(driver: str, file: Path, **arguments: Any) -> Engine:
    """Open a blocking engine of a database file: ours, or SQLAlchemy's own in WAL."""
    if driver == OURS:
        return async_layers.create_engine(f"sqlite:///{file}", **arguments)
    engine = sqlalchemy.create_engine(f"sqlite+{driver}:///{file}", **arguments)
    _tell(engine)
    return engine


def open_async_engine(driver: str, file: Path, **arguments: Any) -> AsyncEngine:
    """Open an asyncio engine of a database file: ours, or SQLAlchemy's own in WAL."""
    if driver == OURS:
        return async_layers.create_async_engine(f"sqlite:///{file}", **arguments)
    engine = create_async_engine(f"sqlite+{driver}:///{file}", **arguments)
    _tell(engine.sync_engine)
    return engine


def _tell(engine: Engine) -> None:
    """Tell a stock dialect what ours tells each connection by default."""

    def connect(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    event.listen(engine, "connect", connect)
