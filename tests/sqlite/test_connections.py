"""Connections that are told, opened or used otherwise than by a pool alone."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import InvalidRequestError, OperationalError, ProgrammingError

from tests.sqlite._attribute import Asked, Begins
from tests.sqlite._dialects import OURS, wrong_on
from tests.sqlite._ground import (
    CARL,
    DORA,
    NAMES,
    driver_of,
    engine_on,
    fresh,
    memory_on,
    names,
    sent,
    with_stock,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OWN_THREAD = {"check_same_thread": True}
ANOTHER_THREAD = "SQLite objects created in a thread can only be used in that same"
CLOSED = "The connection to SQLite is closed: seen a statement after close()"


def elsewhere(work: Callable[[], object]) -> None:
    """Do work in another thread, and raise what it raises."""
    with ThreadPoolExecutor(1) as executor:
        executor.submit(work).result(timeout=5)


# --- the pool's questions


@with_stock("pysqlite")
def test_pre_ping_replaces_a_closed_connection(driver: str, tmp_path: Path) -> None:
    """A connection that was closed in the pool is not lent to anybody."""
    with engine_on(driver, fresh(tmp_path), pool_pre_ping=True) as engine:
        with engine.connect() as connection:
            first = driver_of(connection)
        first.close()
        with engine.connect() as connection:
            assert [] == list(connection.scalars(NAMES))


def test_pre_ping_asks_a_database_in_memory() -> None:
    """A connection to no file is asked for a row, and goes on."""
    with memory_on(OURS, pool_pre_ping=True) as engine:
        seen = sent(engine)
        engine.dispose()
        with engine.connect() as connection:
            first = driver_of(connection)
        seen.clear()
        with engine.connect() as connection:
            assert first is driver_of(connection)
    assert ["SELECT 1"] == seen


@with_stock("pysqlite")
def test_rollback_is_skipped_in_autocommit_where_told_so(
    driver: str, tmp_path: Path
) -> None:
    """A transaction of the user's own outlives SQLAlchemy's rollback."""
    file = fresh(tmp_path)
    told: dict[str, Any] = {
        "skip_autocommit_rollback": True,
        "isolation_level": "AUTOCOMMIT",
    }
    with engine_on(driver, file, **told) as engine, engine.connect() as connection:
        connection.execute(text("BEGIN"))
        connection.execute(CARL)
        connection.rollback()
        connection.execute(text("COMMIT"))
    assert ["carl"] == names(file)


def test_connection_of_no_pool_is_asked_and_closed(tmp_path: Path) -> None:
    """A connection that the dialect opens for nobody is closed by it, too."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        connection = engine.dialect.connect(str(tmp_path / "file.db"))
        assert engine.dialect.do_ping(connection)
        engine.dialect.do_close(connection)
        with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
            connection.cursor()


# --- connections that begin by themselves


def test_connection_that_begins_by_itself_is_refused(tmp_path: Path) -> None:
    """What begins without our BEGIN is told what to write instead."""
    told = {"factory": Begins}
    with engine_on(OURS, fresh(tmp_path), connect_args=told) as engine:
        with engine.connect() as connection:
            with pytest.raises(InvalidRequestError) as caught:
                connection.execute(CARL)
    assert (
        "autocommit=False of sqlite3's connection is refused: seen where a "
        "transaction begins; write isolation_level='AUTOCOMMIT', or leave it out."
    ) == str(caught.value)


def test_connection_with_the_attribute_is_begun_on(tmp_path: Path) -> None:
    """Whoever leaves beginning to us has transactions."""
    file = fresh(tmp_path)
    with engine_on(OURS, file, connect_args={"factory": Asked}) as engine:
        with engine.begin() as connection:
            connection.execute(CARL)
    assert ["carl"] == names(file)


def test_transaction_on_a_closed_connection_is_refused(tmp_path: Path) -> None:
    """A connection that cannot be asked how it begins is a lost one."""
    told = {"factory": Asked}
    with engine_on(OURS, fresh(tmp_path), connect_args=told) as engine:
        with engine.connect() as connection:
            driver_of(connection).close()
            with pytest.raises(OperationalError, match=CLOSED) as caught:
                connection.begin()
    assert caught.value.connection_invalidated


def test_commit_of_nothing_on_a_closed_connection_is_refused(tmp_path: Path) -> None:
    """A connection that was closed below does not go back to the pool."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        with engine.connect() as connection:
            connection.begin()
            driver_of(connection).close()
            with pytest.raises(OperationalError, match=CLOSED):
                connection.commit()


def test_rollback_of_nothing_on_a_closed_connection_is_none(tmp_path: Path) -> None:
    """There is nothing to undo on a connection that was closed below."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        with engine.connect() as connection:
            connection.begin()
            driver_of(connection).close()
            connection.rollback()
            assert not connection.in_transaction()


# --- connections that keep to their thread


def test_transaction_of_another_thread_is_refused(tmp_path: Path) -> None:
    """A connection that can be asked in its own thread alone says so."""
    told = {**OWN_THREAD, "factory": Asked}
    with engine_on(OURS, fresh(tmp_path), connect_args=told) as engine:
        with engine.connect() as connection:
            with pytest.raises(ProgrammingError, match=ANOTHER_THREAD):
                elsewhere(connection.begin)


def test_commit_in_another_thread_is_refused(tmp_path: Path) -> None:
    """A connection that keeps to its thread is not committed in another one."""
    file = fresh(tmp_path)
    with engine_on(OURS, file, connect_args=OWN_THREAD) as engine:
        with engine.connect() as connection:
            connection.execute(CARL)
            with pytest.raises(ProgrammingError, match=ANOTHER_THREAD):
                elsewhere(connection.commit)
            assert [] == names(file)
            driver_of(connection).rollback()


@wrong_on("pysqlite", "the transaction stays open, and the next user commits its row")
def test_refused_commit_is_not_made_up_for(driver: str, tmp_path: Path) -> None:
    """A row whose COMMIT was refused is not committed by the connection's next user."""
    file = fresh(tmp_path)
    with engine_on(driver, file, connect_args=OWN_THREAD, pool_size=1) as engine:
        with engine.connect() as connection:
            connection.execute(CARL)
            with pytest.raises(ProgrammingError, match=ANOTHER_THREAD):
                elsewhere(connection.commit)
        with suppress(OperationalError), engine.begin() as connection:
            connection.execute(DORA)
        assert "carl" not in names(file)


def test_rollback_in_another_thread_is_refused(tmp_path: Path) -> None:
    """What another thread may not undo is undone where the connection is given back."""
    file = fresh(tmp_path)
    with engine_on(OURS, file, connect_args=OWN_THREAD, pool_size=1) as engine:
        with engine.connect() as connection:
            connection.execute(CARL)
            with pytest.raises(ProgrammingError, match=ANOTHER_THREAD):
                elsewhere(connection.rollback)
        with engine.begin() as connection:
            connection.execute(DORA)
        assert ["dora"] == names(file)
