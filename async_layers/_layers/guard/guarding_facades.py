"""Methods of asyncio's facades that ask the guard.

They are judged by the task that calls them, not by the one that runs what they
return: `asyncio.wait_for(session.commit())` makes a task of it until Python 3.11.
"""

from __future__ import annotations

import asyncio
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from sqlalchemy.util import greenlet_spawn

from async_layers._finish import finish
from async_layers._layers.guard.callers import current_task
from async_layers._layers.guard.guarding import (
    Method,
    cut_off,
    give_up,
    method_of,
    patience,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from async_layers._layers.guard.callers import Caller
    from async_layers._layers.guard.rules import Guard

C = TypeVar("C", bound=type)
Run: TypeAlias = "Callable[..., Coroutine[Any, Any, Any]]"
Exits: TypeAlias = "Callable[..., Awaitable[object]]"


def async_guarding(
    *,
    uses: str = "",
    ends: str,
    finds: str = "",
    lends: str = "",
    exits: Callable[[type], object],
) -> Callable[[C], C]:
    """Guard methods by name; what they do is what the next class in line does.

    What `finds` and `lends` return, at once and awaited, is guarded as well. `exits`
    makes what leaves the block.
    """
    wrappers = ((uses, _used), (ends, _ended), (finds, _found), (lends, _lent))

    def decorated(class_: C) -> C:
        for names, wrapper in wrappers:
            for name in names.split():
                setattr(class_, name, wrapper(class_, name))
        # By name, since mypy refuses the assignment.
        setattr(class_, "__aexit__", exits(class_))  # noqa: B010
        return class_

    return decorated


def _found(class_: type, name: str) -> object:
    @wraps(method_of(class_, name))
    def found(self: Any) -> Any:  # noqa: ANN401 - SQLAlchemy's
        return self.layers_guarded(method_of(cast("Any", super(class_, self)), name)())

    return found


def _judged(class_: type, name: str, run: Run) -> object:
    """Make of a method one that remembers who called it."""
    beneath = method_of(class_, name)
    # What a task that runs it is called in a message.
    run.__qualname__ = beneath.__qualname__

    @wraps(beneath)
    def judged(self: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - SQLAlchemy's
        return run(self, current_task(), arguments, named)

    return judged


def _use(class_: type, name: str) -> Run:
    deed = "begin" if name == "start" else name

    async def run(
        self: Any,  # noqa: ANN401 - SQLAlchemy's
        caller: Caller | None,
        arguments: tuple[Any, ...],
        named: dict[str, Any],
    ) -> Any:  # noqa: ANN401 - SQLAlchemy's
        method: Method = getattr(super(class_, self), name)  # pyright: ignore[reportUnknownArgumentType] - any class
        guard = self.layers_guard
        if guard is None or not guard.enter(deed, caller):
            return await method(*arguments, **named)
        try:
            return await method(*arguments, **named)
        finally:
            guard.leave()

    return run


def _used(class_: type, name: str) -> object:
    return _judged(class_, name, _use(class_, name))


def _lent(class_: type, name: str) -> object:
    use = _use(class_, name)

    async def run(self: Any, *call: Any) -> Any:  # noqa: ANN401 - SQLAlchemy's
        return self.layers_guarded(await use(self, *call))

    return _judged(class_, name, run)


def _ended(class_: type, name: str) -> object:
    async def run(
        self: Any,  # noqa: ANN401 - SQLAlchemy's
        caller: Caller | None,
        arguments: tuple[Any, ...],
        named: dict[str, Any],
    ) -> Any:  # noqa: ANN401 - SQLAlchemy's
        method: Method = getattr(super(class_, self), name)  # pyright: ignore[reportUnknownArgumentType] - any class
        guard, subject, savepoint = self.guarded_by()
        if guard is None or not guard.enter_end(name, caller, savepoint):
            return await method(*arguments, **named)
        try:
            return await method(*arguments, **named)
        finally:
            guard.leave(over=not subject.in_transaction())

    return _judged(class_, name, run)


def leave_block(class_: type) -> object:
    """Leave the block of a connection or session, in any task."""

    @wraps(cast("Any", class_).__aexit__)
    async def exited(self: Any, *error: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        exits: Exits = cast("Any", super(class_, self)).__aexit__
        guard, subject, _ = self.guarded_by()
        await left(guard, subject, lambda: exits(*error))

    return exited


def leave_transaction(class_: type) -> object:
    """Leave the block of a transaction: what may not be committed is rolled back."""

    async def run(
        self: Any,  # noqa: ANN401 - SQLAlchemy's
        caller: Caller | None,
        error: tuple[Any, ...],
        _: dict[str, Any],
    ) -> None:
        exits: Exits = cast("Any", super(class_, self)).__aexit__
        guard, subject, savepoint = self.guarded_by()
        if guard is not None and savepoint is None and guard.enter_own_end():
            try:
                await exits(*error)
            finally:
                guard.leave(over=not subject.in_transaction())
            return
        refused = None
        if guard is not None and error[0] is None:
            refused = guard.refusal("commit", caller, savepoint)
        if refused is None:
            await left(guard, subject, lambda: exits(*error))
            return
        await left(guard, subject, lambda: exits(type(refused), refused, None))
        raise refused

    return _judged(class_, "__aexit__", run)


async def left(
    guard: Guard | None,
    subject: Any,  # noqa: ANN401 - of several classes
    leave: Callable[[], Awaitable[object]],
) -> None:
    """Wait for what is in flight elsewhere: a block is left in any case."""
    taken = guard is not None and guard.take()
    if guard is not None and taken is None:
        # A cancellation comes through when the block has been left.
        await finish(_left_late(guard, subject, leave))
        return
    try:
        await leave()
    finally:
        if guard is not None and taken:
            guard.leave(over=not subject.in_transaction())


async def _left_late(
    guard: Guard,
    subject: Any,  # noqa: ANN401 - of several classes
    leave: Callable[[], Awaitable[object]],
) -> None:
    """Wait, cut what is in flight off, and leave."""
    seconds = patience(subject)
    if not await _freed(guard, seconds):
        cut_off(subject)
        await _freed(guard, seconds)
        await greenlet_spawn(give_up, subject)
    await (left(guard, subject, leave) if guard.is_free() else leave())


async def _freed(guard: Guard, seconds: float) -> bool:
    """Wait until nothing is in flight, or the seconds are over."""
    freed = asyncio.Event()
    with guard.telling(freed.set):
        waiting = asyncio.ensure_future(freed.wait())
        await asyncio.wait((waiting,), timeout=0 if guard.is_free() else seconds)
        waiting.cancel()
    return guard.is_free()
