"""What a connection that a parent process opened does in its child: nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from sqlalchemy.exc import OperationalError

from tests.sqlite._dialects import OURS
from tests.sqlite._ground import CARL, DORA, engine_on, fresh, names
from tests.sqlite._inherited import as_child

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

    from async_layers.drivers._sqlite.control import Control

REFUSED = (
    r"A connection of Engine\(sqlite\+async_layers:///.*\) is refused: seen in a "
    r"child process of the one that opened it"
)


class Open(NamedTuple):
    """A connection with a transaction that has written, and what is below it."""

    engine: Engine
    connection: Connection
    driver: Any
    control: Control
    file: Path


@pytest.fixture
def inherited(tmp_path: Path) -> Iterator[Open]:
    """Return a connection that has written and not committed."""
    file = fresh(tmp_path)
    with engine_on(OURS, file) as engine:
        connection = engine.connect()
        connection.execute(CARL)
        driver: Any = connection.connection.driver_connection
        control = engine.dialect.control_of(driver)  # type: ignore[attr-defined]
        yield Open(engine, connection, driver, control, file)
        connection.close()
        driver.close()


def test_inherited_connection_executes_nothing(inherited: Open) -> None:
    """A statement is refused, and the transaction of the parent has not got it."""
    with as_child(inherited.control):
        with pytest.raises(OperationalError, match=REFUSED):
            inherited.connection.execute(DORA)
    inherited.connection.commit()
    assert ["carl"] == names(inherited.file)


def test_inherited_connection_executes_nothing_for_many(inherited: Open) -> None:
    """A statement for many parameters is refused as well."""
    rows = [{"id": 2}, {"id": 3}]
    with as_child(inherited.control):
        with pytest.raises(OperationalError, match=REFUSED):
            inherited.connection.exec_driver_sql(
                "INSERT INTO person (id) VALUES (:id)", rows
            )
    inherited.connection.commit()
    assert ["carl"] == names(inherited.file)


def test_inherited_transaction_is_not_committed(inherited: Open) -> None:
    """A COMMIT is refused, and the transaction of the parent stays open."""
    with as_child(inherited.control):
        with pytest.raises(OperationalError, match=REFUSED):
            inherited.connection.commit()
    assert inherited.driver.in_transaction
    assert [] == names(inherited.file)


def test_inherited_transaction_is_not_rolled_back(inherited: Open) -> None:
    """A rollback is no error, and the parent can still commit."""
    with as_child(inherited.control):
        inherited.connection.rollback()
    inherited.driver.commit()
    assert ["carl"] == names(inherited.file)


def test_inherited_connection_is_not_closed(inherited: Open) -> None:
    """What a child gives back and disposes of, its parent still has."""
    with as_child(inherited.control):
        inherited.connection.close()
        inherited.engine.dispose()
    inherited.driver.commit()
    assert ["carl"] == names(inherited.file)


def test_inherited_connection_is_kept(inherited: Open) -> None:
    """An engine that is disposed of in a child lets go of nothing that is in use."""
    with as_child(inherited.control):
        inherited.engine.dispose()
        assert inherited.driver is inherited.control.kept
    inherited.connection.commit()
    assert ["carl"] == names(inherited.file)
