"""Layers 2 and 3: a transaction from its beginning to its outcome."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from async_layers._layers.ended import Ended
from async_layers.hooks import run_hooks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

P = ParamSpec("P")
T = TypeVar("T")


class Scope(Ended, AbstractContextManager[T]):
    """A block that is one transaction, and knows how it ended.

    `outcome` is None until the block has been left. An exception that leaves it
    carries the outcome as a note.
    """

    def __init__(self, block: Callable[[Scope[T]], AbstractContextManager[T]]) -> None:
        self._block = block(self)

    def __enter__(self) -> T:
        self._require_new()
        return self._block.__enter__()

    def __exit__(
        self,
        class_: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        raised, handled = error, None
        try:
            handled = self._block.__exit__(class_, error, traceback)
        except BaseException as other:  # noqa: BLE001 - it is raised below
            raised = other
        left = self._left_by(raised, error)
        self._ended(left)
        due = self._due()
        if due is not None:
            run_hooks(due, left)
        if left is not None and left is not error:
            try:
                raise left
            finally:  # its traceback has this frame
                del left, raised
        return handled


def scoped(
    body: Callable[Concatenate[Scope[T], P], Iterator[T]],
) -> Callable[P, Scope[T]]:
    """Make a scope of a generator that yields once, like `contextmanager`."""
    block = contextmanager(body)

    @wraps(body)
    def opened(*arguments: P.args, **named: P.kwargs) -> Scope[T]:
        return Scope(lambda scope: block(scope, *arguments, **named))

    return opened
