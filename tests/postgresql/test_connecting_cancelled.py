"""Connecting that is cancelled: at each of its steps, and nothing is left of it."""

from __future__ import annotations

import asyncio
import gc
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.postgresql import _faults
from tests.postgresql._dialects import (
    ASYNCIO,
    on,
    open_side,
)
from tests.postgresql._faults import BOUND, connect, counts
from tests.postgresql._servers import say_nothing, server

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    import psycopg
    from sqlalchemy.ext.asyncio import AsyncEngine

    from tests.postgresql._dialects import Side

frozen, quiet = _faults.frozen, _faults.quiet

# A future of asyncpg's own, which nobody awaits where TLS is asked for.
COMPLAINT = "Future exception was never retrieved"


class Steps:
    """Await work, and cancel the task at one of its steps."""

    def __init__(self, work: Coroutine[Any, Any, object], last: int) -> None:
        """Take the work and the number of the step, the first being 1."""
        self.work, self.last = work, last

    def __await__(self) -> Generator[Any, Any, object]:
        """Do what `await` does, and count how often it waits."""
        task = asyncio.current_task()
        assert task is not None
        step = 0
        go_on: Callable[[], Any] = partial(self.work.send, None)
        while True:
            try:
                awaited = go_on()
            except StopIteration as over:
                return over.value
            step += 1
            if step == self.last:
                asyncio.get_running_loop().call_soon(task.cancel)
            try:
                go_on = partial(self.work.send, (yield awaited))
            except BaseException as error:  # noqa: BLE001 - the work's own
                go_on = partial(self.work.throw, error)


async def cancelled(work: Coroutine[Any, Any, object], step: int) -> bool:
    """Say whether work was cancelled at a step; it may have no such step."""

    async def stepped() -> None:
        await Steps(work, step)

    task = asyncio.create_task(stepped())
    await asyncio.wait([task], timeout=BOUND)
    if not task.cancelled():
        task.result()
    return task.cancelled()


async def use(engine: AsyncEngine) -> None:
    """Open a connection, and close it."""
    async with engine.connect():
        pass


@on(*ASYNCIO)
def test_connecting_is_cancelled_at_every_step(
    driver: str, postgresql_url: str, observer: psycopg.Connection[Any], schema: str
) -> None:
    """Wherever it is, none is lent, none is left, and only asyncpg complains."""
    complaints = list[str]()

    async def body(engine: AsyncEngine) -> tuple[bool, set[int]]:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, told: complaints.append(told["message"]))
        step, lent = 1, set[int]()
        while await cancelled(use(engine), step):
            lent.add(counts(engine.sync_engine)[1])
            await engine.dispose()
            step += 1
        await engine.dispose()
        gc.collect()
        return step > 10, lent

    # The name of a schema is one that no other test has.
    arguments = {"connect_args": {"server_settings": {"application_name": schema}}}
    with open_side(driver, postgresql_url, **arguments) as side:
        assert (True, {0}) == side.drive(body)
    assert set(complaints) <= {COMPLAINT}
    wait_for_none(observer, schema)


def wait_for_none(observer: psycopg.Connection[Any], name: str) -> None:
    """Return when the server serves no client of a name."""
    end = time.monotonic() + BOUND
    asked = "SELECT FROM pg_stat_activity WHERE application_name = %s"
    while observer.execute(asked, (name,)).fetchone() is not None:
        assert time.monotonic() < end


@on(*ASYNCIO)
def test_connecting_to_a_server_that_says_nothing_is_cancelled_at_once(
    driver: str,
) -> None:
    """A deadline of asyncio's ends it with its own TimeoutError."""

    async def body(engine: AsyncEngine) -> object:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), engine.connect():
                pass
        return counts(engine.sync_engine)

    with server(say_nothing) as url, open_side(driver, url) as side:
        began = time.monotonic()
        assert (0, 0) == side.drive(body)
        assert time.monotonic() - began < 1


@on(*ASYNCIO)
def test_an_engine_connects_after_a_cancellation(own_side: Side) -> None:
    """The first connection of an engine, which learns about the server, may be lost."""

    async def body(engine: AsyncEngine) -> object:
        found = [await cancelled(use(engine), step) for step in (1, 3, 6, 9)]
        async with engine.connect() as connection:
            return found, await connection.run_sync(lambda sync: connect(sync.engine))

    assert ([True] * 4, 1) == own_side.drive(body)
