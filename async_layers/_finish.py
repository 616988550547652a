"""Do to the end, under asyncio, what must not stop in the middle."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

Result = TypeVar("Result")

# How long, in seconds, a cancellation waits for a COMMIT or ROLLBACK to end.
WITHIN = 10.0

# What is given up has so many seconds to end by itself.
GRACE = 0.1


async def finish(
    work: Coroutine[object, object, Result],
    within: float | None = None,
    give_up: Callable[[], object] | None = None,
) -> Result:
    """Await work in a task of its own; a cancellation travels on when it is over.

    For what is done if it was begun: COMMIT, ROLLBACK, a connection's options, the
    closing of a pool. `within` so many seconds of the cancellation it is over, or
    `give_up()` is called, which ends it, and what does not end then is cancelled.
    What the work raises is raised, but never in the place of a cancellation.
    """
    task, loop = asyncio.create_task(work), asyncio.get_running_loop()
    cancelled: asyncio.CancelledError | None = None
    until: float | None = None
    steps = iter((give_up, task.cancel) if give_up is not None else ())
    while not task.done():
        try:
            left = None if until is None else until - loop.time()
            await asyncio.wait((task,), timeout=left)
        except asyncio.CancelledError as error:
            if cancelled is None and within is not None:
                until = loop.time() + within
            cancelled = error
            vars(cancelled)["until"] = until
            continue
        if not task.done() and until is not None:
            step = next(steps, None)
            until = None if step is None else loop.time() + GRACE
            if step is not None:
                step()
    if cancelled is None:
        return task.result()
    try:
        task.result()
    finally:
        raise cancelled


def seconds_left(cancelled: asyncio.CancelledError, within: float) -> float:
    """Return how long a cancellation goes on to wait that `finish` may have held."""
    now = asyncio.get_running_loop().time()
    until: float | None = vars(cancelled).get("until")
    return within if until is None else until - now
