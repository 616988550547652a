"""What cannot be run again, and policies that are none, are refused."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ArgumentError, InvalidRequestError

from async_layers import (
    Retry,
    async_run_transaction,
    async_run_unit_of_work,
    async_sessionmaker,
    async_transaction,
    async_unit_of_work,
    engine_scope,
    run_transaction,
    run_unit_of_work,
    sessionmaker,
    transaction,
    unit_of_work,
)
from async_layers.engine_async import async_engine_scope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
    from sqlalchemy.orm import Session

ONE = text("SELECT 1")


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    """Return a blocking engine."""
    with engine_scope(sqlite_url) as found:
        yield found


@pytest.fixture
async def aio(sqlite_url: str) -> AsyncIterator[AsyncEngine]:
    """Return an asyncio engine."""
    async with async_engine_scope(sqlite_url) as found:
        yield found


def ask(connection: Connection | Session) -> object:
    """Ask the database for something."""
    return connection.scalar(ONE)


async def ask_there(connection: AsyncConnection) -> object:
    """Ask the database for something."""
    return await connection.scalar(ONE)


# --- inside an open transaction

INSIDE = (
    r"^(async_)?run_\w+\(\) is refused: seen inside an open transaction of the same"
)


def test_a_call_inside_a_transaction_is_refused(engine: Engine) -> None:
    """It could not run again what the transaction around it has done."""
    factory = sessionmaker(engine)
    with transaction(engine) as connection:
        with pytest.raises(InvalidRequestError, match=INSIDE):
            run_transaction(engine, ask)
        with pytest.raises(InvalidRequestError, match=INSIDE):
            run_unit_of_work(factory, ask)
        assert 1 == ask(connection)


async def test_a_call_inside_a_transaction_is_refused_under_asyncio(
    aio: AsyncEngine,
) -> None:
    """It could not run again what the transaction around it has done."""
    factory = async_sessionmaker(aio)
    async with async_transaction(aio) as connection:
        with pytest.raises(InvalidRequestError, match=INSIDE):
            await async_run_transaction(aio, ask_there)
        with pytest.raises(InvalidRequestError, match=INSIDE):
            await async_run_unit_of_work(factory, ask_there)
        assert 1 == await ask_there(connection)


def test_a_call_inside_a_unit_of_work_is_refused(engine: Engine) -> None:
    """A session that has asked its database for something is in a transaction."""
    with unit_of_work(sessionmaker(engine)) as session:
        ask(session)
        with pytest.raises(InvalidRequestError, match=INSIDE):
            run_transaction(engine.execution_options(), ask)


def test_a_call_inside_a_call_is_refused(engine: Engine) -> None:
    """The inner one would be committed, whatever becomes of the outer one."""

    def function(_: Connection) -> object:
        return run_transaction(engine, ask)

    with pytest.raises(InvalidRequestError, match=INSIDE):
        run_transaction(engine, function)


def test_a_call_after_a_transaction_is_not_refused(engine: Engine) -> None:
    """One that was committed, or could not even begin, is not open."""
    with transaction(engine) as connection:
        ask(connection)
    failed = transaction(engine, isolation_level="AUTOCOMMIT")
    with pytest.raises(InvalidRequestError), failed:
        pass
    assert 1 == run_transaction(engine, ask)


def test_a_call_on_another_engine_is_not_refused(
    engine: Engine, sqlite_url: str
) -> None:
    """A transaction of one database and one of another are two."""
    with engine_scope(sqlite_url) as other, transaction(engine) as connection:
        ask(connection)
        assert 1 == run_transaction(other, ask)


async def test_a_call_in_another_task_is_not_refused(aio: AsyncEngine) -> None:
    """A task that was begun in a block has transactions of its own."""
    async with async_unit_of_work(async_sessionmaker(aio)) as session:
        await session.scalar(ONE)
        calling = asyncio.create_task(async_run_transaction(aio, ask_there))
        assert 1 == await calling


async def test_a_call_in_another_thread_is_not_refused(engine: Engine) -> None:
    """A thread that was given a copy of the block's context is another one as well."""
    with transaction(engine) as connection:
        ask(connection)
        assert 1 == await asyncio.to_thread(run_transaction, engine, ask)


OPEN = r"\(\) is refused: seen \w+, whose transaction it could not begin again; write "


def test_what_has_a_transaction_already_is_refused(engine: Engine) -> None:
    """A connection, a session, and a factory that is bound to a connection."""
    call: Any = run_transaction
    call_unit: Any = run_unit_of_work
    factory = sessionmaker(engine)
    with engine.connect() as connection, factory() as session:
        with pytest.raises(InvalidRequestError, match=OPEN):
            call(connection, ask)
        with pytest.raises(InvalidRequestError, match=OPEN):
            call_unit(session, ask)
        factory.configure(bind=connection)
        with pytest.raises(InvalidRequestError, match=OPEN):
            run_unit_of_work(factory, ask)


async def test_what_is_of_the_other_world_is_refused(
    engine: Engine, aio: AsyncEngine
) -> None:
    """The error names what to write instead."""
    call: Any = run_transaction
    call_unit: Any = run_unit_of_work
    call_there: Any = async_run_transaction
    with pytest.raises(ArgumentError, match=r"write an engine of create_engine\(\)"):
        call(aio, ask)
    with pytest.raises(ArgumentError, match="an engine of create_async_engine"):
        await call_there(engine, ask_there)
    with pytest.raises(ArgumentError, match="an engine of create_engine"):
        call_unit(async_sessionmaker(aio), ask)
    with pytest.raises(ArgumentError, match=r"a factory from sessionmaker\(engine\)"):
        call_unit(object(), ask)


def test_a_factory_that_is_bound_per_table_is_not_refused(engine: Engine) -> None:
    """Which engine it is, only its sessions know."""
    factory = sessionmaker(engine)
    factory.configure(bind=None)
    assert 1 == run_unit_of_work(factory, lambda _: 1)


# --- functions


class Plain:
    """An object that can be called."""

    def __call__(self, connection: Connection) -> object:
        """Ask the database for something."""
        return ask(connection)

    async def there(self, connection: AsyncConnection) -> object:
        """Ask the database for something."""
        return await ask_there(connection)


class Awaited:
    """An object that can be called, and awaited."""

    async def __call__(self, connection: AsyncConnection) -> object:
        """Ask the database for something."""
        return await ask_there(connection)


def generator(connection: Connection) -> Iterator[object]:
    """Ask when it is read."""
    yield ask(connection)


async def generator_there(connection: AsyncConnection) -> AsyncIterator[object]:
    """Ask when it is read."""
    yield await ask_there(connection)


@pytest.mark.parametrize(
    ("function", "seen"),
    [
        (generator, "a generator, and would run when it is read"),
        (partial(generator), "a generator"),
        (generator_there, "a generator"),
        (ask_there, "a coroutine function, which nobody would await"),
        (partial(partial(ask_there)), "a coroutine function"),
        (Awaited(), "a coroutine function"),
        (Plain().there, "a coroutine function"),
        (None, "cannot be called"),
    ],
)
def test_a_function_that_would_run_too_late_is_refused(
    engine: Engine, function: Any, seen: str
) -> None:
    """Its transaction would be over, or nobody would hear of it."""
    with pytest.raises(ArgumentError, match=seen):
        run_transaction(engine, function)


@pytest.mark.parametrize("function", [generator_there, generator, None])
async def test_a_function_that_would_run_too_late_is_refused_under_asyncio(
    aio: AsyncEngine, function: Any
) -> None:
    """Its transaction would be over, or nobody would hear of it."""
    with pytest.raises(ArgumentError, match=r"write an async function"):
        await async_run_transaction(aio, function)


@pytest.mark.parametrize("function", [ask, partial(ask), Plain()])
def test_what_can_be_called_is_called(
    engine: Engine, function: Callable[[Connection], object]
) -> None:
    """The right use: functions, partial ones, and objects."""
    assert 1 == run_transaction(engine, function)


@pytest.mark.parametrize(
    "function",
    [ask_there, partial(ask_there), Awaited(), lambda c: c.scalar(ONE)],
)
async def test_what_can_be_awaited_is_awaited(aio: AsyncEngine, function: Any) -> None:
    """The right use: also a plain function that returns what can be awaited."""
    assert 1 == await async_run_transaction(aio, function)


def test_a_result_that_nobody_would_await_is_refused(engine: Engine) -> None:
    """A plain function that returns a coroutine has done nothing yet."""

    def function(connection: Connection) -> object:
        connection.execute(text("CREATE TABLE planted (n int)"))
        return asyncio.sleep(0)

    with pytest.raises(ArgumentError, match="seen coroutine, which nobody would await"):
        run_transaction(engine, function)
    found = text("SELECT count(*) FROM sqlite_master")
    assert 0 == run_transaction(engine, lambda c: c.scalar(found))


async def test_a_future_that_nobody_would_await_is_refused(engine: Engine) -> None:
    """It is no coroutine, and no more of a result."""
    future = asyncio.get_running_loop().create_future()
    with pytest.raises(ArgumentError, match=r"seen _?Future, which nobody would await"):
        run_transaction(engine, lambda _: future)


async def test_a_result_that_cannot_be_awaited_is_refused(aio: AsyncEngine) -> None:
    """A blocking function under asyncio: what it has done is rolled back."""
    function: Any = lambda _: 1  # noqa: E731 - planted
    with pytest.raises(ArgumentError, match="seen int, which cannot be awaited"):
        await async_run_transaction(aio, function)


def test_arguments_reach_the_function(engine: Engine) -> None:
    """Named ones by `functools.partial`."""

    def function(connection: Connection, one: int, *, two: int) -> int:
        return int(connection.scalar(text(f"SELECT {one} + {two}")) or 0)

    assert 3 == run_transaction(engine, partial(function, two=2), 1)


# --- policies


@pytest.mark.parametrize(
    "values",
    [
        {"attempts": 0},
        {"attempts": 1.5},
        {"attempts": True},
        {"timeout": 0},
        {"timeout": "1"},
        {"wait_initial": -1},
        {"wait_max": None},
        {"lock_timeouts": 1},
        {"retryable": OSError},
        {"retryable": ask_there},
        {"before_sleep": ask_there},
        {"before_sleep": 1},
    ],
)
def test_a_policy_that_is_none_is_refused(values: dict[str, Any]) -> None:
    """The error names the field, what was seen, and what to write."""
    (name,) = values
    with pytest.raises(ArgumentError, match=rf"^{name} is refused: seen .*; write "):
        Retry(**values)


def test_what_is_no_policy_is_refused(engine: Engine) -> None:
    """A number of attempts is none."""
    call: Any = run_transaction
    with pytest.raises(ArgumentError, match=r"^retry is refused: seen 3; write Retry"):
        call(engine, ask, retry=3)
