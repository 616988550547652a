"""What the options of SQLite refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy
from sqlalchemy import text
from sqlalchemy.exc import ArgumentError, MissingGreenlet, OperationalError

import async_layers
from async_layers import SQLiteOptions
from tests.sqlite._dialects import OURS, open_engine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("journal_mode", "walll", "write one of 'WAL', 'DELETE', 'TRUNCATE', "),
        ("journal_mode", True, "journal_mode=True is refused"),
        ("begin", "BEGIN IMMEDIATE", "write one of 'DEFERRED', 'IMMEDIATE', "),
        ("begin", False, "begin=False is refused"),
        ("busy_timeout", -1, "write one from 0 to 86400, or None"),
        ("busy_timeout", float("nan"), "busy_timeout=nan is refused"),
        ("busy_timeout", 5_000_000, "seen no number of seconds"),
        ("busy_timeout", "5", "seen no number of seconds"),
        ("busy_timeout", True, "seen no number of seconds"),
        ("foreign_keys", "no", "write one of True, False."),
        ("memdb", None, "write one of True, False."),
    ],
)
def test_option_that_sqlite_would_ignore_is_refused(
    name: str, value: Any, message: str
) -> None:
    """SQLite takes a wrong PRAGMA for none, and would leave the protection off."""
    with pytest.raises(ArgumentError, match=message):
        SQLiteOptions(**{name: value})


@pytest.mark.parametrize(
    "open_", [async_layers.create_engine, sqlalchemy.create_engine]
)
@pytest.mark.parametrize("value", [{}, None, "WAL"])
def test_options_that_are_none_are_refused(open_: Any, value: Any) -> None:
    """The sentence says what to write."""
    with pytest.raises(ArgumentError, match=r"write SQLiteOptions\(\.\.\.\), or leave"):
        open_("sqlite+async_layers://", sqlite=value)


def test_foreign_keys_are_not_changed_in_a_transaction(tmp_path: Path) -> None:
    """SQLite would say nothing, and a migration would lose rows by its DROP TABLE."""
    engine = open_engine(OURS, tmp_path / "file.db")
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE parent (id INTEGER PRIMARY KEY)"))
        with pytest.raises(OperationalError, match="first statement of a transaction"):
            connection.execute(text("PRAGMA foreign_keys = OFF"))
        assert 1 == connection.scalar(text("PRAGMA foreign_keys"))
        connection.rollback()
        connection.execute(text("PRAGMA foreign_keys = OFF"))
        assert 0 == connection.scalar(text("PRAGMA foreign_keys"))
    engine.dispose()


def test_asyncio_dialect_is_refused_in_blocking_code(tmp_path: Path) -> None:
    """There is no loop to wait in."""
    url = f"sqlite+async_layers_async:///{tmp_path / 'file.db'}"
    engine = sqlalchemy.create_engine(url)
    with pytest.raises(MissingGreenlet, match="write 'sqlite\\+async_layers' in its"):
        engine.connect()
