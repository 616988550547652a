"""Which scopes are open here: in this task, or in this thread; no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

from async_layers._layers.guard.callers import current_task
from async_layers._layers.holding.holders import this_thread

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from async_layers._layers.ended import Ended


class Opened(ref["Ended"]):
    """A scope that is open, and the task or thread that has opened it."""

    __slots__ = ("owner",)

    owner: ref[Any]


# Weak in both: a scope may be dropped, and its task, without an end.
_OPENED = set[Opened]()


def opens(scope: Ended) -> Opened:
    """Take note of a scope that is entered here, until it `closes`."""
    opened = Opened(scope, _OPENED.discard)
    opened.owner = _here()
    _OPENED.add(opened)
    return opened


def closes(opened: Opened) -> None:
    """Forget a scope that has been left."""
    _OPENED.discard(opened)


def is_open_on(engine: Engine) -> bool:
    """Say whether a transaction of this task, or of this thread, is open on an engine.

    A task that was begun in a block is another one, and has transactions of its own.
    """
    here = _here()()
    for opened in [*_OPENED]:
        scope = opened()
        if scope is not None and opened.owner() is here and scope.is_on(engine):
            return True
    return False


def _here() -> ref[Any]:
    task = current_task()
    return this_thread()[0] if task is None else ref(task)
