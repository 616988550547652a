"""Transactions on PostgreSQL that others disturb, with any driver in its world."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from tests._calls import Caller
from tests.postgresql._dialects import DRIVERS, on, open_side
from tests.postgresql._faults import BOUND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

# Our two dialects, the stock ones, and psycopg's own asyncio face.
on_all: Final = on(*DRIVERS, "psycopg_async")


@pytest.fixture
def caller(driver: str, postgresql_url: str) -> Iterator[Caller]:
    """Return what runs functions on an engine of this test alone, of one connection."""
    with open_side(driver, postgresql_url, pool_size=1) as side:
        yield Caller(side.opened, side.runner)


class Account:
    """A table of two accounts, and others who change them."""

    def __init__(self, observer: psycopg.Connection[Any], schema: str) -> None:
        """Make the table."""
        self.observer, self.schema = observer, schema
        self.elsewhere("CREATE TABLE {schema}.account (id int, n int)")
        self.elsewhere("INSERT INTO {schema}.account VALUES (1, 0), (2, 0)")

    def sql(self, statement: str) -> str:
        """Return a statement with the name of the schema."""
        return statement.format(schema=self.schema)

    def elsewhere(self, statement: str) -> None:
        """Run a statement on another connection, in autocommit."""
        self.observer.execute(self.sql(statement).encode())

    def add(self, number: int, which: int) -> str:
        """Return the statement that adds a number to an account."""
        added = f"n + {number} WHERE id = {which}"
        return self.sql("UPDATE {schema}.account SET n = ") + added

    def held(self) -> list[int]:
        """Return what the accounts hold."""
        asked = self.sql("SELECT n FROM {schema}.account ORDER BY id").encode()
        return [n for (n,) in self.observer.execute(asked).fetchall()]

    def wait_until_waiting(self, pid: int) -> None:
        """Return when a backend waits for a lock."""
        asked = "SELECT FROM pg_stat_activity WHERE pid = %s AND wait_event_type='Lock'"
        end = time.monotonic() + BOUND
        while self.observer.execute(asked, [pid]).fetchone() is None:
            assert time.monotonic() < end


@pytest.fixture
def account(observer: psycopg.Connection[Any], schema: str) -> Account:
    """Return two accounts, with nothing on them."""
    return Account(observer, schema)


class Other:
    """Another user of the database, with a transaction that is his own."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """Take his connection."""
        self.connection = connection
        self._thread: threading.Thread | None = None

    def does(self, statement: str) -> None:
        """Run a statement in his transaction."""
        self.connection.execute(statement.encode())

    def commits_after(self, statement: str) -> None:
        """Run a statement that waits, and commit, in a thread."""

        def work() -> None:
            self.does(statement)
            self.connection.commit()

        self._thread = threading.Thread(target=work)
        self._thread.start()

    def join(self) -> None:
        """Wait for the thread."""
        if self._thread is not None:
            self._thread.join(BOUND)
            assert not self._thread.is_alive()


@contextmanager
def other(url: str) -> Iterator[Other]:
    """Lend another user of the database."""
    with psycopg.connect(url) as connection:
        found = Other(connection)
        try:
            yield found
        finally:
            found.join()


def noted(calls: list[str], function: Callable[[Connection], None]) -> Any:
    """Return a function that notes when it is called, and when it returns."""

    def wrapped(connection: Connection) -> None:
        calls.append("called")
        function(connection)
        calls.append("returned")

    return wrapped
