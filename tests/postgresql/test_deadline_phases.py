"""A deadline on a COMMIT in two phases, and on a ROLLBACK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from sqlalchemy.exc import DBAPIError

from async_layers import DeadlineExceeded, Outcome
from async_layers._layers.deadline.limited import limited
from async_layers._layers.engine import adopt
from tests.postgresql._deadline import (
    AMPLE,
    ONE,
    both,
    run_out,
    within,
)
from tests.postgresql._faults import end_backend

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

    from tests.postgresql._dialects import Side
    from tests.postgresql._people import Observer, People


@pytest.fixture(autouse=True)
def prepares(observer: Observer) -> None:
    """Skip where the server prepares no transaction."""
    if observer.execute("SHOW max_prepared_transactions").fetchone() == ("0",):
        pytest.skip("the server's max_prepared_transactions is 0")


def two_phases(
    side: Side, people: People, between: Callable[[str, Connection], object]
) -> object:
    """Insert a person in two phases; return how the transaction ended."""

    def body(engine: Engine) -> object:
        with limited(AMPLE, side.opened) as limit, engine.connect() as connection:
            limit.got(connection)
            transaction = connection.begin_twophase()
            try:
                connection.execute(people.insert("anna"))
                between("prepare", connection)
                transaction.prepare()
                between("commit", connection)
                transaction.commit()
            except DeadlineExceeded as error:
                transaction.close()
                return error.part, cast("Any", connection).outcome
            return cast("Any", connection).outcome

    adopt(side.engine)
    return side.on_engine(body)


@both
@pytest.mark.parametrize(
    ("phase", "part"), [("prepare", "a statement"), ("commit", "COMMIT")]
)
def test_a_phase_of_a_commit_is_refused(
    own_side: Side, people: People, phase: str, part: str
) -> None:
    """Either phase rolls back, and says so; nothing stays prepared."""

    def between(before: str, connection: Connection) -> None:
        if before == phase:
            run_out(connection)

    assert (part, Outcome.ROLLED_BACK) == two_phases(own_side, people, between)
    found = people.observer.execute("SELECT FROM pg_prepared_xacts").fetchall()
    assert ([], [], 0) == (found, people.names(), people.locks())


@both
def test_a_commit_in_two_phases_is_done_in_time(own_side: Side, people: People) -> None:
    """A scope in time is as any other."""
    assert Outcome.COMMITTED == two_phases(own_side, people, lambda *_: None)
    assert ["anna"] == people.names()


@both
def test_a_rollback_that_fails_in_time_says_so(
    own_side: Side, observer: Observer
) -> None:
    """Only what the deadline cuts off is taken for rolled back in silence."""

    def body(connection: Connection) -> None:
        connection.execute(ONE)
        end_backend(observer, connection)
        raise LookupError

    ended = within(own_side, AMPLE, body)
    assert isinstance(ended.error, DBAPIError | LookupError)
    assert Outcome.ROLLED_BACK is ended.outcome
