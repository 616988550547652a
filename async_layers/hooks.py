"""Layers 2 and 3: what happens after a commit, and only then."""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec, cast

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from async_layers._layers.hooks.registering import (
    refuse_async,
    refuse_awaitable,
    refuse_target,
    register,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from async_layers._layers.hooks.due import Due

P = ParamSpec("P")


def on_commit(
    target: Connection | Session,
    function: Callable[P, object],
    /,
    *arguments: P.args,
    **named: P.kwargs,
) -> None:
    """Call a function after the commit of the transaction that the target is in.

    The target is the connection of a `transaction` or the session of a `unit_of_work`.
    Hooks run in the order in which they came, when the connection is back in its
    pool, so that they may begin transactions of their own; nobody calls them after a
    rollback, of a savepoint around them either, or where the outcome is unknown.

    What hooks raise undoes nothing and stops no other hook. It leaves the scope in an
    `ExceptionGroup`; an exception that leaves the scope already is not replaced:
    then it is logged (`async_layers.hooks`) and noted. A cancellation waits for the
    hooks within `finish_within` seconds.

    Raises `ArgumentError` for what cannot be called, and `InvalidRequestError` for a
    target without a scope and after the scope's end.
    """
    if not isinstance(cast("object", target), Connection | Session):
        raise refuse_target(target, "on_commit", "async_on_commit")
    refuse_async(function)
    register(target, function, arguments, named)


def run_hooks(due: Due, error: BaseException | None) -> None:
    """Call the hooks that are due; `error` is what leaves the scope already."""
    for call, name in due.calls():
        with due.trying(name):
            refuse_awaitable(call(), name)
    due.report(error)
