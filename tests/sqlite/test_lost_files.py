"""What SQLite and the pool say of a file that went away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import OperationalError

from async_layers import transaction
from tests.sqlite._dialects import OURS
from tests.sqlite._ground import engine_on
from tests.sqlite._hostile import ADD, IDS, deleted, engine_in, ids, made, replaced

if TYPE_CHECKING:
    from pathlib import Path

LOST = r"The database file was deleted or replaced: seen that '.*file\.db' is not what"


def test_commit_without_its_journal_is_a_lost_file(tmp_path: Path) -> None:
    """A COMMIT that SQLite refuses names the file, and loses the connection."""
    file = made(tmp_path, "DELETE", 1)
    with engine_in("DELETE", OURS, file) as engine:
        with engine.connect() as connection:
            connection.execute(ADD, {"id": 2})
            deleted(file)
            file.with_name("file.db-journal").unlink()
            with pytest.raises(OperationalError, match=LOST) as caught:
                connection.commit()
            assert connection.invalidated
    assert "disk I/O error" == str(caught.value.orig.__cause__)  # type: ignore[union-attr]


def test_statement_on_a_file_that_went_meanwhile_is_a_lost_file(
    tmp_path: Path,
) -> None:
    """A transaction that has the write lock of a deleted file cannot write."""
    file = made(tmp_path, "DELETE", 1)
    with engine_in("DELETE", OURS, file) as engine:
        with pytest.raises(OperationalError, match=LOST) as caught:
            with transaction(engine, write=True) as connection:
                assert [1] == list(connection.scalars(IDS))
                deleted(file)
                connection.execute(ADD, {"id": 2})
    assert caught.value.connection_invalidated
    assert [] == ids(file)


def test_pre_ping_replaces_the_connection_of_a_lost_file(tmp_path: Path) -> None:
    """A connection whose file was replaced in the meantime is not lent to anybody."""
    file = made(tmp_path, "WAL", 1)
    with engine_on(OURS, file, pool_pre_ping=True) as engine:
        with engine.connect() as connection:
            assert [1] == list(connection.scalars(IDS))
        replaced(file)
        with engine.connect() as connection:
            assert [100] == list(connection.scalars(IDS))
