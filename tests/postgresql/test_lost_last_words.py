"""A server that has said why it ends a connection, whose end has not been seen yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import text

from tests.postgresql import _faults
from tests.postgresql._dialects import BLOCKING, PSYCOPG, wrong_on
from tests.postgresql._faults import backend, driver_of, end_process, failure
from tests.postgresql._servers import through
from tests.postgresql.test_lost import ACTS, ENDED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from tests.postgresql._dialects import Side

frozen, quiet = _faults.frozen, _faults.quiet

OPEN = "psycopg's connection is asked, which takes itself for a good one"


@wrong_on(PSYCOPG, OPEN, among=BLOCKING)
@pytest.mark.parametrize("name", ["a statement", "a savepoint", "commit", "rollback"])
def test_the_last_words_of_a_server_are_enough(
    driver: str, name: str, postgresql_url: str, observer: psycopg.Connection[Any]
) -> None:
    """The connection is given up at once, and the rollback afterwards asks nobody."""

    def body(connection: Connection) -> object:
        connection.execute(text("SELECT 1"))
        number = backend(connection)
        proxy.hush_up()
        end_process(observer, number)
        found = failure(ACTS[name], connection)
        proxy.heal()
        connection.rollback()
        with connection.begin():
            return found, number != backend(connection)

    with through(driver, postgresql_url) as (proxy, side):
        assert (ENDED, True) == side.run(body)


@wrong_on(PSYCOPG, OPEN, among=BLOCKING)
@pytest.mark.parametrize("name", ["a statement", "a savepoint", "commit", "rollback"])
def test_a_connection_whose_answer_was_given_up_is_lost(
    own_side: Side, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket that breaks while psycopg is waiting leaves libpq with a statement."""

    def hang_up(sending: Iterator[object], **_: object) -> None:
        next(sending)
        raise psycopg.OperationalError("connection socket closed")

    def body(connection: Connection) -> object:
        connection.execute(text("SELECT 1"))
        number = backend(connection)
        monkeypatch.setattr(driver_of(connection), "wait", hang_up)
        found = failure(ACTS[name], connection)
        connection.rollback()
        with connection.begin():
            return found, number != backend(connection)

    assert (ENDED._replace(sqlstate=None), True) == own_side.run(body)
