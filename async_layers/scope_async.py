"""Layers 2 and 3: a transaction from its beginning to its outcome."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from async_layers._layers.ended import Ended
from async_layers.hooks_async import async_run_hooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

P = ParamSpec("P")
T = TypeVar("T")


class AsyncScope(Ended, AbstractAsyncContextManager[T]):
    """A block that is one transaction, and knows how it ended.

    `outcome` is None until the block has been left. An exception that leaves it
    carries the outcome as a note.
    """

    def __init__(
        self, block: Callable[[AsyncScope[T]], AbstractAsyncContextManager[T]]
    ) -> None:
        self._block = block(self)

    async def __aenter__(self) -> T:
        self._cancellations = _cancellations()
        self._require_new()
        return await self._block.__aenter__()

    async def __aexit__(
        self,
        class_: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        raised, handled = error, None
        try:
            handled = await self._block.__aexit__(class_, error, traceback)
        except BaseException as other:  # noqa: BLE001 - it is raised below
            raised = other
        left = self._left_by(raised, error)
        self._ended(left)
        due = self._due()
        if due is not None:
            await async_run_hooks(due, left)
        if left is not None and left is not error:
            try:
                raise left
            finally:  # its traceback has this frame
                del left, raised
        return handled

    def _is_cancelled(self) -> bool:
        return _cancellations() > self._cancellations


def _cancellations() -> int:
    """Return how often the task was told to end, and has not ended yet."""
    task = asyncio.current_task()
    return task.cancelling() if task else 0


def async_scoped(
    body: Callable[Concatenate[AsyncScope[T], P], AsyncIterator[T]],
) -> Callable[P, AsyncScope[T]]:
    """Make a scope of a generator that yields once, like `asynccontextmanager`."""
    block = asynccontextmanager(body)

    @wraps(body)
    def opened(*arguments: P.args, **named: P.kwargs) -> AsyncScope[T]:
        return AsyncScope(lambda scope: block(scope, *arguments, **named))

    return opened
