"""A server that has said why it ends a connection, whose end has not been seen yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from tests.postgresql import _faults
from tests.postgresql._dialects import BLOCKING, PSYCOPG, wrong_on
from tests.postgresql._faults import backend, end_backend, failure
from tests.postgresql._servers import through
from tests.postgresql.test_lost import ACTS, ENDED

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection

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
        end_backend(observer, number)
        found = failure(ACTS[name], connection)
        proxy.heal()
        connection.rollback()
        with connection.begin():
            return found, number != backend(connection)

    with through(driver, postgresql_url) as (proxy, side):
        assert (ENDED, True) == side.run(body)
