"""Where a task or a thread is now."""

from __future__ import annotations

import sys
from asyncio import Task, current_task
from threading import current_thread
from typing import TYPE_CHECKING, Any

from async_layers._layers.holding.places import Place, is_carrier, outside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Thread
    from types import FrameType


def whereabouts(owner: Task[Any] | Thread | None) -> str:
    """Say what a task or a thread is at; None is one that is gone."""
    if owner is None or _has_ended(owner):
        return "which has ended"
    if owner is _current(owner):
        return "which asks for another one here"
    place = _of_task(owner) if isinstance(owner, Task) else _of_thread(owner)
    return f"now at {place}" if place else "now elsewhere"


def _has_ended(owner: Task[Any] | Thread) -> bool:
    return owner.done() if isinstance(owner, Task) else not owner.is_alive()


def _current(owner: Task[Any] | Thread) -> object:
    return current_task() if isinstance(owner, Task) else current_thread()


def _of_thread(thread: Thread) -> Place | None:
    frame = outside(sys._current_frames().get(thread.ident or 0))  # noqa: SLF001 - public
    return Place.of(frame) if frame else None


def _of_task(task: Task[Any]) -> Place | None:
    """Return the innermost line of the program that waits."""
    found = None
    for frame in _frames(task.get_coro()):
        if not is_carrier(frame.f_code.co_filename):
            found = Place.of(frame)
    return found


def _frames(awaited: Any) -> Iterator[FrameType]:  # noqa: ANN401 - whatever is awaited
    """Go from a coroutine, or a generator that stands for one, to what it awaits."""
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", getattr(awaited, "gi_frame", None))
        if frame is not None:
            yield frame
        inner = getattr(awaited, "gi_yieldfrom", None)
        awaited = getattr(awaited, "cr_await", inner)
