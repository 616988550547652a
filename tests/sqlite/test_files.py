"""What becomes of rows whose file is deleted or replaced."""

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
    deleted,
    deleted_alone,
    engine_in,
    ids,
    index_deleted,
    is_sound,
    log_deleted,
    made,
    replaced,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Engine

Add: TypeAlias = "Callable[[Engine, Callable[[], None]], list[int]]"

ACKNOWLEDGED = "the row is acknowledged, and is in no file that anybody can open"
NEW_FILE = "a connection to the old file spoils what the new one shares with it"
NEVER = "the connection to the old file stays in the pool, and never writes again"

both_journals = pytest.mark.parametrize("journal", ["WAL", "DELETE"])
both_losses = pytest.mark.parametrize("befall", [deleted, replaced])


def between_transactions(engine: Engine, befall: Callable[[], None]) -> list[int]:
    befall()
    with engine.begin() as connection:
        connection.execute(ADD, {"id": 2})
    return [2]


def before_the_commit(engine: Engine, befall: Callable[[], None]) -> list[int]:
    with engine.begin() as connection:
        connection.execute(ADD, {"id": 2})
        befall()
    return [2]


def in_autocommit(engine: Engine, befall: Callable[[], None]) -> list[int]:
    befall()
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(ADD, {"id": 2})
    return [2]


def acknowledged(
    add: Add,
    engine: Engine,
    befall: Callable[[], None],
) -> list[int]:
    """Return the rows that were written without an error."""
    with suppress(DBAPIError):
        return add(engine, befall)
    return []


# --- a file that is deleted or replaced


@pytest.mark.parametrize(
    "add", [between_transactions, before_the_commit, in_autocommit]
)
@both_losses
@wrong_on("pysqlite", ACKNOWLEDGED)
def test_row_of_a_lost_file_is_not_acknowledged_in_wal(
    driver: str,
    befall: Callable[[Path], None],
    add: Add,
    tmp_path: Path,
) -> None:
    """A row that nobody can read afterwards is an error, wherever it was written."""
    file = made(tmp_path, "WAL", 1)
    with engine_in("WAL", driver, file) as engine:
        with engine.connect() as connection:
            connection.execute(IDS)
        told = acknowledged(add, engine, lambda: befall(file))
    assert told == [row for row in ids(file) if row == 2]


@both_losses
@wrong_on("pysqlite", ACKNOWLEDGED)
def test_row_of_a_lost_file_is_not_acknowledged_by_commit(
    driver: str, befall: Callable[[Path], None], tmp_path: Path
) -> None:
    """Without WAL SQLite looks when it begins to write, and no more at COMMIT."""
    file = made(tmp_path, "DELETE", 1)
    with engine_in("DELETE", driver, file) as engine:
        told = acknowledged(before_the_commit, engine, lambda: befall(file))
    assert told == [row for row in ids(file) if row == 2]


@pytest.mark.parametrize(
    "add", [between_transactions, before_the_commit, in_autocommit]
)
@both_losses
@both_journals
def test_error_says_that_the_file_is_lost(
    journal: str,
    befall: Callable[[Path], None],
    add: Add,
    tmp_path: Path,
) -> None:
    """The error names the file, whatever its journal, and is a lost connection."""
    file = made(tmp_path, journal, 1)
    with engine_in(journal, OURS, file) as engine:
        with engine.connect() as connection:
            connection.execute(IDS)
        with pytest.raises(OperationalError) as caught:
            add(engine, lambda: befall(file))
    assert caught.value.connection_invalidated
    assert str(caught.value.orig) == (
        f"The database file was deleted or replaced: seen that {str(file)!r} is not "
        "what this connection opened, so that what it writes is lost; write it "
        "again, on a new connection."
    )


@both_journals
@wrong_on("pysqlite", NEVER)
def test_pool_recovers_on_the_file_that_is_there(
    driver: str, journal: str, tmp_path: Path
) -> None:
    """After the error the same engine writes into the file that has taken the place."""
    file = made(tmp_path, journal, 1)
    with engine_in(journal, driver, file) as engine:
        with engine.connect() as connection:
            connection.execute(IDS)
        replaced(file)
        with suppress(DBAPIError):
            between_transactions(engine, lambda: None)
        with engine.begin() as connection:
            connection.execute(ADD, {"id": 3})
    assert [3, 100] == ids(file)
    assert is_sound(file)


@both_journals
def test_reader_of_a_lost_file_reads_on(journal: str, tmp_path: Path) -> None:
    """A connection that does not write sees the rows of the file that it opened."""
    file = made(tmp_path, journal, 1)
    with engine_in(journal, OURS, file) as engine:
        with engine.connect() as connection:
            connection.execute(IDS)
        replaced(file)
        with engine.connect() as connection:
            assert [1] == list(connection.scalars(IDS))


@wrong_on("pysqlite", NEW_FILE)
def test_old_connection_does_not_disturb_the_new_file(
    driver: str, tmp_path: Path
) -> None:
    """A connection to a deleted file leaves the -shm file of the next one alone.

    That is found by its name. The old log is longer than the new one, so that its
    index points behind the end.
    """
    file = tmp_path / "file.db"
    with engine_in("WAL", driver, file) as engine, engine.connect() as old:
        old.execute(CREATE)
        old.commit()
        for row in range(30):
            old.execute(ADD, {"id": row})
            old.commit()
        deleted_alone(file)
        with engine_in("WAL", driver, file) as other, other.connect() as new:
            new.execute(CREATE)
            new.commit()
            with suppress(DBAPIError):
                old.execute(ADD, {"id": 1000})
                old.commit()
            new.execute(ADD, {"id": 1})
            new.commit()
            assert [1] == list(new.scalars(IDS))
    assert [1] == ids(file)


# --- the log of a file, and its index


@wrong_on("pysqlite", ACKNOWLEDGED)
def test_row_whose_log_is_gone_is_not_acknowledged(driver: str, tmp_path: Path) -> None:
    """A row in a log that was deleted is an error: others do not see it."""
    file = made(tmp_path, "WAL", 1)
    with engine_in("WAL", driver, file) as engine, engine.connect() as connection:
        connection.execute(ADD, {"id": 2})
        connection.commit()
        log_deleted(file)
        with pytest.raises(OperationalError, match=r"seen that '.*file\.db-wal'"):
            connection.execute(ADD, {"id": 3})
            connection.commit()


def test_pool_recovers_when_a_log_is_gone(tmp_path: Path) -> None:
    """The last connection to the old log saves its rows, and the next begins one."""
    file = made(tmp_path, "WAL", 1)
    with engine_in("WAL", OURS, file) as engine:
        between_transactions(engine, lambda: None)
        log_deleted(file)
        with suppress(DBAPIError):
            with engine.begin() as connection:
                connection.execute(ADD, {"id": 3})
        with engine.begin() as connection:
            connection.execute(ADD, {"id": 4})
        assert {1, 2, 4} <= set(ids(file))
    assert is_sound(file)


def test_connection_may_leave_its_log_behind(tmp_path: Path) -> None:
    """A log that is gone because its connection left WAL mode is no loss."""
    file = made(tmp_path, "WAL", 1)
    with engine_in("WAL", OURS, file) as engine, engine.connect() as connection:
        for mode in ("DELETE", "WAL", "DELETE"):
            connection.exec_driver_sql(f"PRAGMA journal_mode = {mode}")
            connection.rollback()
        connection.execute(ADD, {"id": 2})
        connection.commit()
    assert [1, 2] == ids(file)


def test_index_of_the_log_may_go(tmp_path: Path) -> None:
    """Without its -shm file, which a connection has open, no row is lost."""
    file = made(tmp_path, "WAL", 1)
    with engine_in("WAL", OURS, file) as engine:
        between_transactions(engine, lambda: None)
        index_deleted(file)
        with engine.begin() as connection:
            connection.execute(ADD, {"id": 3})
    assert [1, 2, 3] == ids(file)
