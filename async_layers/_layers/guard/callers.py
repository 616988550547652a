"""Who uses a connection or a session: a task of asyncio, or a thread."""

from __future__ import annotations

import asyncio
import sys
import threading
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from types import FrameType

# A thread by its number: one that comes later may have the same, when it is gone.
Caller: TypeAlias = "asyncio.Task[Any] | int"

# Where a thread of a pool is between two pieces of work, and on the way there.
_POOLS = frozenset({"anyio", "concurrent"})
_MACHINERY = _POOLS | {"asyncio", "queue", "threading"}


def current_task() -> asyncio.Task[Any] | None:
    """Return the task that runs in this thread, if one does."""
    # Unlike asyncio's alone it raises nothing in a thread without a loop.
    loop = asyncio._get_running_loop()  # noqa: SLF001 - documented for event loops
    return None if loop is None else asyncio.current_task(loop)


def of_asyncio() -> Caller:
    """Return the task that runs, or the thread where there is none."""
    try:
        return asyncio.current_task() or get_ident()
    except RuntimeError:
        return get_ident()


def is_over(caller: Caller | None) -> bool:
    """Say whether a caller can do nothing more by itself.

    A thread that waits in its pool has ended what it did: frameworks run what
    belongs to one request in several of them, one after the other.
    """
    if isinstance(caller, int):
        frame = sys._current_frames().get(caller)  # noqa: SLF001 - documented
        return frame is None or _is_idle(frame)
    return caller is None or caller.done()


def _is_idle(frame: FrameType | None) -> bool:
    """Look whether nothing runs there but a pool's own machinery."""
    packages = set[str]()
    while frame is not None:
        name: str = frame.f_globals.get("__name__", "")
        packages.add(name.partition(".")[0])
        frame = frame.f_back
    return packages <= _MACHINERY and not packages.isdisjoint(_POOLS)


def is_run_by(caller: Caller, waiting: Caller | None) -> bool:
    """Say whether a task is what `asyncio.wait_for()` made of a coroutine.

    Until Python 3.11 it did so, where it now awaits in the caller's own task; both
    have no public name. `waiting` is who called it, and can do nothing meanwhile.
    """
    waiter: Any = getattr(waiting, "_fut_waiter", None)
    callbacks: Any = getattr(caller, "_callbacks", None)
    return waiter is not None and any(
        isinstance(callback, partial) and waiter in callback.args
        for callback, _ in callbacks or ()
    )


def named(caller: Caller | None) -> str:
    """Name a caller in a message."""
    if isinstance(caller, int):
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        return f"thread {names.get(caller, caller)!r}"
    if caller is None:
        return "a task that is gone"
    work = getattr(caller.get_coro(), "__qualname__", "")
    return f"task {caller.get_name()!r} ({work})"
