"""Which functions may run after which commit; no I/O."""

from __future__ import annotations

from functools import partial
from inspect import isawaitable, iscoroutine, iscoroutinefunction
from typing import TYPE_CHECKING

from sqlalchemy.exc import ArgumentError, InvalidRequestError
from sqlalchemy.orm import Session

from async_layers._layers.hooks.kept import scope_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection

_SCOPES = {
    "connection": "`with transaction(engine) as connection`",
    "session": "`with unit_of_work(factory) as session`",
}


def register(
    target: Connection | Session | None,
    function: Callable[..., object],
    arguments: tuple[object, ...],
    named: Mapping[str, object],
) -> None:
    """Have a function called after the commit of the scope that lends the target."""
    if not callable(function):
        raise ArgumentError(
            f"A hook is refused: seen {function!r}, which cannot be called; "
            "write the function, and its arguments after it."
        )
    scope = scope_of(target) if target is not None else None
    if target is None or scope is None or not target.in_transaction():
        kind = "session" if isinstance(target, Session) else "connection"
        raise InvalidRequestError(
            f"A hook is refused: seen a {kind} without a scope whose transaction is "
            f"open; write it inside {_SCOPES[kind]}, with the {kind} of that."
        )
    call = partial(function, *arguments, **named)
    name = getattr(call.func, "__qualname__", None) or repr(call.func)
    scope.hooks_of(target).add(call, name)


def refuse_target(target: object, helper: str, other: str) -> ArgumentError:
    """Return why a target is neither a connection nor a session of a helper's world."""
    return ArgumentError(
        f"{helper}() is refused: seen {type(target).__name__} as its target; write the "
        f"connection or the session that a scope lends, or use {other}()."
    )


def refuse_async(function: Callable[..., object]) -> None:
    """Refuse a function that nobody awaits."""
    called = getattr(type(function), "__call__", None)  # noqa: B004 - if it is async
    if iscoroutinefunction(function) or iscoroutinefunction(called):
        raise ArgumentError(
            f"on_commit() is refused: seen {function!r}, which has to be awaited; "
            "write a plain function, or use async_on_commit()."
        )


def refuse_awaitable(returned: object, name: str) -> None:
    """Refuse what a hook returned for somebody to await it: nobody does."""
    if not isawaitable(returned):
        return
    if iscoroutine(returned):  # it would warn that nobody has awaited it
        returned.close()
    raise InvalidRequestError(
        f"The hook {name} is refused: seen {type(returned).__name__}, which has to be "
        "awaited; write a plain function, or use async_on_commit()."
    )
