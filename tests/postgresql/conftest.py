"""The four dialects in turn, an observer beside them, and a schema to write in."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.postgresql._dialects import DRIVERS, Side, open_side
from tests.postgresql._people import People
from tests.postgresql._proxy import Proxy
from tests.postgresql._standby import replicated
from tests.postgresql._tasks import ground

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Any

    from tests.postgresql._people import Observer
    from tests.postgresql._standby import Replicated
    from tests.postgresql._tasks import Ground

_NUMBERS = itertools.count(1)


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    """Return the name of each dialect in turn, unless the test names its own."""
    named: str = request.param
    return named


@pytest.fixture(scope="session")
def sides(postgresql_url: str) -> Iterator[Callable[[str], Side]]:
    """Return the engine of a dialect, opened once and kept for the session."""
    opened = dict[str, Side]()
    with ExitStack() as stack:

        def find(driver: str) -> Side:
            if driver not in opened:
                opened[driver] = stack.enter_context(open_side(driver, postgresql_url))
            return opened[driver]

        yield find


@pytest.fixture
def side(driver: str, sides: Callable[[str], Side]) -> Side:
    """Return the engine of `driver`, shared by all tests: leave its pool as it was."""
    return sides(driver)


@pytest.fixture
def own_side(driver: str, postgresql_url: str) -> Iterator[Side]:
    """Return an engine of `driver` for this test alone."""
    with open_side(driver, postgresql_url) as side:
        yield side


@pytest.fixture(scope="session")
def pair() -> Iterator[Replicated]:
    """Return a primary and its standby, shared by all tests: none is promoted."""
    with replicated() as found:
        yield found


@pytest.fixture(scope="session")
def _watching(postgresql_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def observer(_watching: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """Return a connection of psycopg alone, in autocommit: what others see."""
    return _watching


@pytest.fixture
def schema(_watching: psycopg.Connection[Any]) -> Iterator[str]:
    """Return the name of a schema of this test, dropped afterwards."""
    name = f"al_{_watching.info.backend_pid}_{next(_NUMBERS)}"
    _watching.execute(f'CREATE SCHEMA "{name}"'.encode())
    yield name
    # A test that failed may have left a transaction open, with its locks.
    _watching.execute("SET lock_timeout = '5s'")
    _watching.execute(f'DROP SCHEMA "{name}" CASCADE'.encode())


@pytest.fixture
def people(observer: Observer, schema: str) -> People:
    """Return an empty table of people."""
    return People(observer, schema)


@pytest.fixture
def proxy(postgresql_url: str) -> Iterator[Proxy]:
    """Return a proxy in front of the server, for this test alone."""
    with Proxy(postgresql_url) as found:
        yield found


@pytest.fixture
async def place(
    people: People, driver: str, postgresql_url: str
) -> AsyncIterator[Ground]:
    """Return an engine of one connection, for the tests of tasks."""
    async with ground(driver, postgresql_url, people.observer) as found:
        yield found
