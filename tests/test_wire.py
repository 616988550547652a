"""What each driver says of its transaction, and what it says when it cannot."""

from __future__ import annotations

import sqlite3
from types import SimpleNamespace
from typing import TYPE_CHECKING

import aiosqlite
import pytest
from sqlalchemy import make_url

from async_layers._wire import backend_pid, control_of, driver_of, in_transaction
from async_layers.engine import engine_scope
from async_layers.engine_async import async_engine_scope

if TYPE_CHECKING:
    from async_layers._proof.scratch import Scratch


def test_driver_says_what_the_server_says(place: Scratch) -> None:
    """A transaction is open from its first statement to its end."""
    with engine_scope(place.urls["sync"]) as engine, engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert in_transaction(driver) is False
        connection.exec_driver_sql("SELECT 1")
        assert in_transaction(driver) is True
        connection.rollback()
        assert in_transaction(driver) is False
        assert place.drivers["sync"] == driver_of(driver)
        assert (backend_pid(driver) is None) == (place.database == "sqlite")
    assert in_transaction(driver) is False  # it is closed


async def test_driver_says_what_the_server_says_under_asyncio(place: Scratch) -> None:
    """A transaction is open from its first statement to its end."""
    async with async_engine_scope(place.urls["async"]) as engine:
        async with engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert in_transaction(driver) is False
            await connection.exec_driver_sql("SELECT 1")
            assert in_transaction(driver) is True
            await connection.rollback()
            assert in_transaction(driver) is False
            assert place.drivers["async"] == driver_of(driver)
            assert (backend_pid(driver) is None) == (place.database == "sqlite")
    assert in_transaction(driver) is False  # it is closed


def test_dialect_of_ours_knows_its_begin(sqlite_url: str) -> None:
    """The words of a BEGIN are known from the first statement to the end."""
    with engine_scope(sqlite_url) as engine, engine.connect() as connection:
        control = control_of(engine.dialect, connection.connection.dbapi_connection)
        assert control is not None
        assert (None, False) == (control.begin, control.began)
        connection.exec_driver_sql("SELECT 1")
        assert ("BEGIN", True) == (control.begin, control.began)
        connection.rollback()
        assert (None, False) == (control.begin, control.began)


@pytest.mark.parametrize("name", ["sqlite+pysqlite", "postgresql+psycopg"])
def test_dialect_of_others_knows_nothing(name: str) -> None:
    """Only our dialects say what they have begun with."""
    dialect = make_url(f"{name}://").get_dialect()()
    assert control_of(dialect, object()) is None


def test_driver_that_is_not_known_says_nothing() -> None:
    """None: nobody knows."""
    assert in_transaction(SimpleNamespace()) is None


@pytest.mark.parametrize(("status", "expected"), [(0, False), (3, True), (None, None)])
def test_mysql_drivers_tell_by_the_servers_status(
    status: int | None,
    expected: bool | None,  # noqa: FBT001 - a parameter of the test
) -> None:
    """SERVER_STATUS_IN_TRANS is the lowest bit; asyncmy keeps it to itself."""
    class_ = type("Connection", (), {"__module__": "pymysql.connections"})
    connection = class_()
    if status is not None:
        connection.server_status = status
    assert in_transaction(connection) is expected


def test_closed_connections_are_in_no_transaction() -> None:
    """sqlite3 and aiosqlite raise where they are asked after close()."""
    closed = sqlite3.connect(":memory:")
    closed.close()
    assert in_transaction(closed) is False
    never_opened = aiosqlite.connect(":memory:")
    assert in_transaction(never_opened) is False
