"""A deadline on MySQL or MariaDB, and a task that is cancelled there.

`ASYNC_LAYERS_TEST_MYSQL_URL`, such as `mariadb://root@127.0.0.1/test`.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from sqlalchemy import Connection, make_url, text
from sqlalchemy.pool import NullPool

from async_layers import (
    DeadlineExceeded,
    Outcome,
    async_transaction,
    create_async_engine,
    create_engine,
    engine_scope,
    transaction,
)
from async_layers._layers.deadline import limit, stop
from async_layers._layers.deadline.telling import Teller
from tests.postgresql._proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

URL = os.environ.get("ASYNC_LAYERS_TEST_MYSQL_URL", "")
pytestmark = pytest.mark.skipif(not URL, reason="ASYNC_LAYERS_TEST_MYSQL_URL is unset")

DRIVERS = ["pymysql", "asyncmy", "aiomysql"]
ASYNCIO = ["asyncmy", "aiomysql"]
each = pytest.mark.parametrize("driver", DRIVERS)
AMPLE = 30.0
BOUND = 1.0  # seconds that a caller may be held over the deadline
PATIENCE = 10.0
ONE = text("SELECT 1")
SLEEP = text("SELECT SLEEP(30)")


class Observer:
    """A connection of its own, which sees what the server does."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, statement: str) -> Any:
        """Execute a statement."""
        return self._connection.execute(text(statement))

    def runs(self, tag: str) -> bool:
        """Say whether the server works at a statement with this tag."""
        asked = "SELECT 1 FROM information_schema.processlist WHERE info LIKE :tag"
        parameters = {"tag": f"SELECT SLEEP%/* {tag} */"}
        return self._connection.execute(text(asked), parameters).first() is not None


@pytest.fixture
def observer() -> Iterator[Observer]:
    """Return an observer."""
    options = {"isolation_level": "AUTOCOMMIT", "poolclass": NullPool}
    with engine_scope(URL, **options) as engine, engine.connect() as connection:
        yield Observer(connection)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give servers less time to stop than they have, which tests would wait for."""
    monkeypatch.setattr(limit, "_GRACE", 0.1)
    monkeypatch.setattr(stop, "BOUND", 0.08)


def run_out(connection: Connection, seconds: float = 0.1) -> None:
    """Let the time of a scope be over soon."""
    cast("Any", connection).limit.budget.end = time.monotonic() + seconds


def within(
    driver: str,
    body: Callable[[Connection], object],
    url: str = URL,
    ended: Callable[[], object] = lambda: None,
) -> tuple[Any, Outcome | None, object]:
    """Run a body in a scope; return its error, its outcome and the settings after."""
    named = make_url(url)
    named = named.set(drivername=f"{named.get_backend_name()}+{driver}")
    if driver in ASYNCIO:
        return asyncio.run(_within(create_async_engine(named), body, ended))
    engine = create_engine(named)
    scope = transaction(engine, deadline=AMPLE)
    error = None
    try:
        with scope as connection:
            body(connection)
    except Exception as raised:  # noqa: BLE001 - it is returned
        error = raised
    ended()
    with engine.connect() as connection:
        found = settings(connection)
    engine.dispose()
    return error, scope.outcome, found


async def _within(
    engine: Any, body: Callable[[Connection], object], ended: Callable[[], object]
) -> tuple[Any, Outcome | None, object]:
    scope = async_transaction(engine, deadline=AMPLE)
    error = None
    try:
        async with scope as connection:
            await connection.run_sync(body)
    except Exception as raised:  # noqa: BLE001 - it is returned
        error = raised
    ended()
    async with engine.connect() as connection:
        found = await connection.run_sync(settings)
    await engine.dispose()
    return error, scope.outcome, found


def settings(connection: Connection) -> tuple[float, ...]:
    """Return how long the server waits for locks, and for statements."""
    mariadb = connection.dialect.is_mariadb  # type: ignore[attr-defined]
    name = "max_statement_time" if mariadb else "max_execution_time"
    asked = f"SELECT @@innodb_lock_wait_timeout, @@{name}"
    row = connection.execute(text(asked)).one()
    return tuple(float(value) for value in row)


@pytest.fixture
def usual(observer: Observer) -> tuple[float, ...]:
    """Return the settings of a new session."""
    return settings(observer._connection)


@pytest.fixture
def table(observer: Observer) -> Iterator[str]:
    """Return a table with one row, dropped afterwards."""
    name = f"async_layers_{secrets.token_hex(4)}"
    observer.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, n int) ENGINE=InnoDB")
    observer.execute(f"INSERT INTO {name} VALUES (1, 1)")  # noqa: S608 - a name of ours
    yield name
    observer.execute(f"DROP TABLE {name}")


@each
def test_a_statement_is_stopped_on_the_server(
    driver: str, observer: Observer, usual: tuple[float, ...]
) -> None:
    """KILL QUERY, from beside; the connection and its settings are as before."""
    tag = secrets.token_hex(4)
    seen = list[float]()

    def body(connection: Connection) -> None:
        run_out(connection)
        seen.append(time.monotonic())
        connection.execute(text(f"SELECT SLEEP(30) /* {tag} */"))

    error, outcome, found = within(driver, body)
    assert time.monotonic() - seen[0] < BOUND
    assert (DeadlineExceeded, "a statement", Outcome.ROLLED_BACK, usual) == (
        type(error), error.part, outcome, found
    )  # fmt: skip
    assert not observer.runs(tag)


@each
def test_a_wait_for_a_lock_is_stopped(
    driver: str, table: str, observer: Observer
) -> None:
    """Who waits for another transaction waits no longer than its own deadline."""
    change = text(f"UPDATE {table} SET n = n + 1")  # noqa: S608 - a name of ours

    def body(connection: Connection) -> None:
        run_out(connection)
        connection.execute(change)

    with engine_scope(URL) as engine, transaction(engine) as connection:
        connection.execute(change)
        error, outcome, _ = within(driver, body)
    assert ("a statement", Outcome.ROLLED_BACK) == (error.part, outcome)
    read = f"SELECT n FROM {table}"  # noqa: S608 - a name of ours
    assert 2 == observer.execute(read).scalar()


@each
def test_the_server_knows_the_deadline(driver: str, usual: tuple[float, ...]) -> None:
    """It is told with the first statement; afterwards it is as ever."""
    seen = list[tuple[float, ...]]()

    def body(connection: Connection) -> None:
        seen.append(settings(connection))

    error, outcome, found = within(driver, body)
    assert (None, Outcome.COMMITTED, usual) == (error, outcome, found)
    ((lock, statement),) = seen
    assert 0 < lock <= AMPLE + 1
    assert 0 < statement <= 1000 * (AMPLE + 1)


@each
def test_what_the_server_was_told_before_stays_if_it_is_less(driver: str) -> None:
    """Somebody has a reason for it."""
    seen = list[tuple[float, ...]]()

    def body(connection: Connection) -> None:
        connection.execute(text("SET innodb_lock_wait_timeout = 7"))
        seen.append(settings(connection))

    _, _, found = within(driver, body)
    assert (7, 7) == (seen[0][0], cast("tuple[float, ...]", found)[0])


@each
@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("where", ["statement", "COMMIT", "ROLLBACK"])
def test_a_black_hole(driver: str, where: str) -> None:
    """Nothing answers: the connection is cut off and discarded."""
    with Proxy(URL) as proxy:
        seen = list[float]()

        def body(connection: Connection) -> None:
            connection.execute(ONE)
            proxy.black_hole()
            run_out(connection)
            seen.append(time.monotonic())
            if where == "statement":
                connection.execute(ONE)
            if where == "ROLLBACK":
                raise LookupError

        def ended() -> None:
            seen.append(time.monotonic())
            proxy.heal()

        error, outcome, _ = within(driver, body, proxy.url, ended)
    assert seen[1] - seen[0] < BOUND
    assert (LookupError if where == "ROLLBACK" else DeadlineExceeded) is type(error)
    expected = Outcome.UNKNOWN if where == "COMMIT" else Outcome.ROLLED_BACK
    assert expected is outcome


@pytest.mark.parametrize("driver", ASYNCIO)
@pytest.mark.parametrize("times", [1, 2])
def test_a_query_of_a_cancelled_task_is_stopped(
    driver: str, times: int, observer: Observer
) -> None:
    """The driver closes its socket; the server is told besides."""
    tag = secrets.token_hex(4)
    assert asyncio.run(_cancelled(driver, tag, observer, times))
    assert not observer.runs(tag)


async def _cancelled(driver: str, tag: str, observer: Observer, times: int) -> bool:
    """Cancel a task whose query runs; say whether it ended so."""
    named = make_url(URL)
    named = named.set(drivername=f"{named.get_backend_name()}+{driver}")
    engine = create_async_engine(named)

    async def work() -> None:
        async with engine.connect() as connection:
            await connection.execute(text(f"SELECT SLEEP(2) /* {tag} */"))

    task = asyncio.create_task(work())
    async with asyncio.timeout(PATIENCE):
        while not observer.runs(tag):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.005)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait((task,))
    await engine.dispose()
    return task.cancelled()


@pytest.mark.parametrize("driver", ASYNCIO)
def test_a_query_of_a_cancelled_task_would_go_on(
    driver: str, observer: Observer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the server is not told, it works for nobody: this is what is mended."""
    monkeypatch.setattr(
        "async_layers._layers.connection.stop_cancelled", lambda _: None
    )
    tag = secrets.token_hex(4)
    assert asyncio.run(_cancelled(driver, tag, observer, 1))
    assert observer.runs(tag)


@pytest.mark.parametrize("driver", ASYNCIO)
async def test_cancellation_at_the_close_leaves_no_connection(
    driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is cancelled while the server gets its settings back has closed as well."""

    def cancelled(_: object) -> None:
        raise asyncio.CancelledError

    named = make_url(URL)
    engine = create_async_engine(
        named.set(drivername=f"{named.get_backend_name()}+{driver}")
    )
    scope = async_transaction(engine, deadline=AMPLE)
    with pytest.raises(asyncio.CancelledError):
        async with scope as connection:
            await connection.execute(ONE)
            monkeypatch.setattr(Teller, "_cursor", cancelled)
    assert (0, Outcome.COMMITTED) == (engine.pool.checkedout(), scope.outcome)
    await engine.dispose()
