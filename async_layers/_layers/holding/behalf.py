"""For whom a task of our own checks a connection out."""

from __future__ import annotations

from asyncio import Task, current_task
from contextvars import ContextVar
from sys import _getframe
from typing import TYPE_CHECKING, Any, TypeVar

from async_layers._layers.holding.places import Place, edge, outside

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

# The task that waits for this one, and its line.
CLIENT: ContextVar[tuple[Task[Any], Place] | None] = ContextVar("client", default=None)


def in_the_name_of_caller(
    work: Coroutine[Any, Any, T],
) -> Coroutine[Any, Any, T]:
    """Return the work, for a task of its own that holds what the caller will use."""
    task = current_task()
    assert task is not None
    frame = _getframe(1)
    return _carry(work, (task, Place.of(outside(frame) or edge(frame))))


async def _carry(work: Coroutine[Any, Any, T], client: tuple[Task[Any], Place]) -> T:
    CLIENT.set(client)
    return await work
