"""Raw connections, connections that leave the pool, and its reset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sqlite._dialects import OURS
from tests.sqlite._ground import (
    CARL,
    DORA,
    NAMES,
    engine_on,
    fresh,
    names,
    sent,
    with_stock,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Literal

    from sqlalchemy import Connection, Engine, PoolProxiedConnection


def insert_carl(raw: PoolProxiedConnection) -> None:
    """Insert a row as PEP 249 has it, past SQLAlchemy's engine."""
    cursor = raw.cursor()
    cursor.execute(CARL.text)
    cursor.close()


def insert_and_commit(engine: Engine) -> None:
    """Use a raw connection, and commit."""
    raw = engine.raw_connection()
    insert_carl(raw)
    raw.commit()
    raw.close()


def insert_and_roll_back(engine: Engine) -> None:
    """Use a raw connection, and roll back."""
    raw = engine.raw_connection()
    insert_carl(raw)
    raw.rollback()
    raw.close()


def insert_and_leave(engine: Engine) -> None:
    """Use a raw connection, and give it back without a word."""
    raw = engine.raw_connection()
    insert_carl(raw)
    raw.close()


def insert_beside(connection: Connection) -> None:
    """Use the raw connection of a connection."""
    insert_carl(connection.connection)


@with_stock("pysqlite")
def test_raw_connection_commits(driver: str, tmp_path: Path) -> None:
    """A raw connection is the driver's own: it begins by itself, and is committed."""
    file = fresh(tmp_path)
    with engine_on(driver, file) as engine:
        seen = sent(engine)
        insert_and_commit(engine)
    assert ["carl"] == names(file)
    assert ["BEGIN ", "INSERT INTO person VALUES (1, 'carl')", "COMMIT"] == seen


@pytest.mark.parametrize("work", [insert_and_roll_back, insert_and_leave])
@with_stock("pysqlite")
def test_raw_connection_is_rolled_back(
    driver: str, work: Callable[[Engine], None], tmp_path: Path
) -> None:
    """What a raw connection does not commit is rolled back, at its return at last."""
    file = fresh(tmp_path)
    with engine_on(driver, file, pool_size=1) as engine:
        seen = sent(engine)
        work(engine)
        with engine.begin() as connection:
            connection.execute(DORA)
    assert ["dora"] == names(file)
    assert ["BEGIN ", "INSERT INTO person VALUES (1, 'carl')", "ROLLBACK"] == seen[:3]


@with_stock("pysqlite")
def test_raw_cursor_works_in_the_connections_transaction(
    driver: str, tmp_path: Path
) -> None:
    """What a raw cursor does beside statements is committed with them."""
    file = fresh(tmp_path)
    with engine_on(driver, file) as engine:
        with engine.connect() as connection:
            insert_beside(connection)
            connection.execute(DORA)
            assert ["carl", "dora"] == list(connection.scalars(NAMES))
            connection.commit()
    assert ["carl", "dora"] == names(file)


@with_stock("pysqlite")
def test_raw_cursor_is_undone_with_the_connections_transaction(
    driver: str, tmp_path: Path
) -> None:
    """What a raw cursor does beside statements is rolled back with them."""
    file = fresh(tmp_path)
    with engine_on(driver, file) as engine:
        with engine.connect() as connection:
            connection.execute(DORA)
            insert_beside(connection)
            connection.rollback()
    assert [] == names(file)


@with_stock("pysqlite")
def test_raw_cursor_alone_is_committed_by_the_connection(
    driver: str, tmp_path: Path
) -> None:
    """A commit of the connection commits what only a raw cursor did."""
    file = fresh(tmp_path)
    with engine_on(driver, file) as engine:
        with engine.begin() as connection:
            insert_beside(connection)
    assert ["carl"] == names(file)


@with_stock("pysqlite")
def test_reset_commits_where_the_pool_is_told_so(driver: str, tmp_path: Path) -> None:
    """With pool_reset_on_return='commit' what is given back is committed."""
    file = fresh(tmp_path)
    how: Literal["commit"] = "commit"
    with engine_on(driver, file, pool_reset_on_return=how) as engine:
        insert_and_leave(engine)
        assert ["carl"] == names(file)


def test_detached_connection_has_transactions(tmp_path: Path) -> None:
    """A connection that leaves its pool goes on as before, and is closed at its end."""
    file = fresh(tmp_path)
    with engine_on(OURS, file, pool_size=1) as engine:
        seen = sent(engine)
        with engine.connect() as connection:
            connection.detach()
            connection.execute(CARL)
            connection.commit()
            connection.execute(DORA)
    assert ["carl"] == names(file)
    assert [
        "BEGIN",
        "INSERT INTO person VALUES (1, 'carl')",
        "COMMIT",
        "BEGIN",
        "INSERT INTO person VALUES (2, 'dora')",
        "ROLLBACK",
    ] == seen


def test_detached_connection_makes_room_for_another(tmp_path: Path) -> None:
    """The pool opens a connection in the place of one that left, each with its own."""
    file = fresh(tmp_path)
    with engine_on(OURS, file, pool_size=1, max_overflow=0) as engine:
        with engine.connect() as connection:
            connection.detach()
            connection.execute(NAMES)
            with engine.begin() as other:
                other.execute(CARL)
            assert [] == list(connection.scalars(NAMES))
    assert ["carl"] == names(file)


def test_invalidated_connection_is_rolled_back(tmp_path: Path) -> None:
    """A connection that is given up keeps neither rows nor lock."""
    file = fresh(tmp_path)
    with engine_on(OURS, file) as engine:
        with engine.connect() as connection:
            connection.execute(CARL)
            connection.invalidate()
            with engine.begin() as other:
                other.execute(DORA)
    assert ["dora"] == names(file)
