"""What a server is told of a deadline, and what that costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection, text

import async_layers
from tests.postgresql._deadline import (
    AMPLE,
    ONE,
    SLEEP,
    SOON,
    both,
    run_out,
    within,
)
from tests.postgresql._servers import through

if TYPE_CHECKING:
    import pytest

    from tests.postgresql._dialects import Side

STATEMENT_TIMEOUT = text("SHOW statement_timeout")


@both
def test_the_server_knows_the_deadline(own_side: Side) -> None:
    """It is told with the first statement, a little more; afterwards it is as ever."""

    def body(connection: Connection) -> None:
        told = "SELECT name FROM pg_settings WHERE setting::int BETWEEN 29000 AND 30300"
        found = connection.scalars(text(f"{told} AND name LIKE '%_timeout'"))
        assert {"lock_timeout", "statement_timeout"} == set(found)

    assert None is within(own_side, AMPLE, body).error
    assert "0" == own_side.run(lambda connection: connection.scalar(STATEMENT_TIMEOUT))


@both
def test_what_the_server_was_told_before_stays_if_it_is_less(own_side: Side) -> None:
    """Somebody has a reason for it; a longer time gives way."""

    def body(connection: Connection) -> None:
        connection.execute(text("SET LOCAL statement_timeout = '1s'"))
        connection.execute(text("SET LOCAL lock_timeout = '1h'"))
        assert "1s" == connection.scalar(STATEMENT_TIMEOUT)
        lock = cast("str", connection.scalar(text("SHOW lock_timeout")))
        assert lock.endswith("ms") or lock == "30s"

    assert None is within(own_side, AMPLE, body).error


@both
def test_what_has_to_come_first_in_a_transaction_does(own_side: Side) -> None:
    """SET TRANSACTION is refused by PostgreSQL after any SELECT."""

    def body(connection: Connection) -> None:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"))
        assert "0" != connection.scalar(STATEMENT_TIMEOUT)

    assert None is within(own_side, AMPLE, body).error


@both
def test_a_server_that_is_not_asked_stops_by_itself(
    own_side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was told is enough where its client is gone."""
    monkeypatch.setattr(
        "async_layers._layers.deadline.operation.Operation.act", _nothing
    )
    monkeypatch.setattr("async_layers._layers.deadline.telling._LATER", 0.05)

    def body(connection: Connection) -> None:
        run_out(connection, SOON)
        connection.execute(SLEEP)

    ended = within(own_side, AMPLE, body)
    assert "a statement" == ended.error.part
    assert "statement timeout" in str(ended.error.__cause__)


def _nothing(operation: Any) -> None:
    operation._ask = operation._cut = None


@both
def test_a_deadline_costs_one_round_trip(driver: str, postgresql_url: str) -> None:
    """BEGIN, what the server is told, the statement, and COMMIT."""
    with through(driver, postgresql_url) as (proxy, side):

        def body(connection: Connection) -> None:
            connection.execute(ONE)

        within(side, AMPLE, body)
        with proxy.counting() as traffic:
            within(side, 2 * AMPLE, body)  # the text is the same: it is prepared
        assert 4 == traffic.round_trips


def test_a_deadline_is_no_cost_of_others(postgresql_url: str) -> None:
    """A connection without one is of the same class as ever."""
    with async_layers.engine_scope(postgresql_url) as engine:
        with async_layers.transaction(engine, deadline=AMPLE) as connection:
            assert hasattr(connection, "limit")
        with async_layers.transaction(engine) as connection:
            assert not hasattr(connection, "limit")
