"""Do to the end, under asyncio, what must not stop in the middle."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

Result = TypeVar("Result")


async def finish(work: Coroutine[object, object, Result]) -> Result:
    """Await work in a task of its own; a cancellation travels on when it is over.

    For what SQLAlchemy undoes only if it was told that it is done: a connection's
    options, and the closing of a pool. Its result, or its error, is the work's.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
        except BaseException:  # noqa: BLE001 - result() raises it below
            break
    result = task.result()
    if cancelled:
        raise cancelled
    return result
