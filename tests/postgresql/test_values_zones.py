"""A time without a zone, where one with a zone is asked for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import DateTime, insert, literal, select, text
from sqlalchemy.exc import StatementError

from async_layers import PostgreSQLOptions
from tests.postgresql._dialects import (
    ASYNCPG,
    OURS,
    OURS_ASYNC,
    on,
    open_side,
    wrong_on,
)
from tests.postgresql._values import AWARE, NAIVE, temporary

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tests.postgresql._dialects import Side


@wrong_on(ASYNCPG, "asyncpg takes a time without a zone to be in the client's")
@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York", "UTC"])
@pytest.mark.parametrize("size", [1, 2])
def test_a_time_without_a_zone_is_in_the_sessions(
    side: Side, zone: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server reads it, wherever the client is."""
    monkeypatch.setenv("TZ", "Pacific/Auckland")

    def body(connection: Connection) -> object:
        connection.exec_driver_sql(f"SET LOCAL TIME ZONE '{zone}'")
        table = temporary(connection, DateTime(timezone=True))
        connection.execute(insert(table), [{"v": NAIVE}] * size)
        found = (
            "SELECT DISTINCT v AT TIME ZONE current_setting('TimeZone') FROM al_case"
        )
        return connection.scalar(text(found))

    time.tzset()
    try:
        assert NAIVE == side.run(body)
    finally:
        monkeypatch.undo()
        time.tzset()


@on(OURS, OURS_ASYNC)
@pytest.mark.parametrize("size", [1, 2])
def test_a_time_without_a_zone_can_be_refused(
    driver: str, size: int, postgresql_url: str
) -> None:
    """The option refuses it before anything is sent, and takes times with a zone."""
    options = PostgreSQLOptions(refuse_naive_datetimes=True)

    def body(connection: Connection) -> object:
        table = temporary(connection, DateTime(timezone=True))
        with pytest.raises(StatementError):
            connection.execute(insert(table), [{"v": NAIVE}] * size)
        connection.execute(insert(table), [{"v": AWARE}, {"v": None}])
        return connection.scalars(select(table.c.v)).all()

    with open_side(driver, postgresql_url, postgresql=options) as side:
        assert [AWARE, None] == side.run(body)


@on(OURS, OURS_ASYNC)
def test_a_column_without_a_zone_takes_a_time_without_one(
    driver: str, postgresql_url: str
) -> None:
    """What is refused is a time that the session's zone would change."""
    options = PostgreSQLOptions(refuse_naive_datetimes=True)

    def body(connection: Connection) -> object:
        return connection.scalar(select(literal(NAIVE, DateTime())))

    with open_side(driver, postgresql_url, postgresql=options) as side:
        assert NAIVE == side.run(body)
