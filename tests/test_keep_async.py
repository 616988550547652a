"""What waits for a COMMIT and is cancelled meanwhile, alone: without a database."""

from __future__ import annotations

import asyncio
import inspect
import sys

import pytest

from async_layers._layers.keep import Keep


async def keep(future: asyncio.Future[None], *, leaves: bool = False) -> None:
    """Wait for a future as for a COMMIT; then exit, or not."""

    async def work() -> None:
        await future
        if leaves:
            sys.exit(3)

    await Keep(work(), 1.0, lambda: None)


async def test_many_cancellations_leave_one_callback() -> None:
    """A scope of anyio's cancels in each turn of the loop, until the task ends."""
    future = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(keep(future))
    for _ in range(101):
        await asyncio.sleep(0)
        task.cancel()
    callbacks = future._callbacks
    assert callbacks is not None
    assert 1 == len(callbacks)
    future.set_result(None)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_exit_is_not_replaced_by_the_cancellation_before_it() -> None:
    """Who wants to end the process does so, though a task was cancelled first."""
    future = asyncio.get_running_loop().create_future()

    async def leave() -> None:
        with pytest.raises(SystemExit):
            await keep(future, leaves=True)

    task = asyncio.create_task(leave())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    future.set_result(None)
    await task


async def test_what_was_cancelled_can_be_closed() -> None:
    """A coroutine that nobody goes on with ends without a word."""
    waiting = keep(asyncio.get_running_loop().create_future())
    waiting.send(None)
    waiting.throw(asyncio.CancelledError())
    waiting.close()
    assert inspect.CORO_CLOSED == inspect.getcoroutinestate(waiting)
