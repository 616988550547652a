"""Which functions can be run in a transaction, and which run too late; no I/O."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar, cast

from sqlalchemy.exc import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_GENERATORS: Final = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def require_function(helper: Callable[..., object], function: object) -> None:
    """Refuse what would run when its transaction is over, or not at all."""
    _require(helper, function, awaited=False)


def async_require_function(helper: Callable[..., object], function: object) -> None:
    """Refuse what would run when its transaction is over, or not at all."""
    _require(helper, function, awaited=True)


def _require(helper: Callable[..., object], function: object, *, awaited: bool) -> None:
    flags = flags_of(function)
    if not callable(function):
        seen = "cannot be called"
    elif flags & _GENERATORS:
        seen = "is a generator, and would run when it is read"
    elif flags & inspect.CO_COROUTINE and not awaited:
        seen = "is a coroutine function, which nobody would await"
    else:
        return
    raise ArgumentError(
        f"{helper.__name__}() is refused: seen {function!r}, which {seen}; write "
        f"{'an async' if awaited else 'a plain'} function that returns its result."
    )


def result_of(name: str, returned: T) -> T:
    """Return what a function returned, unless it has only begun."""
    if hasattr(type(returned), "__await__"):
        if inspect.iscoroutine(returned):
            returned.close()
        raise ArgumentError(
            f"The result of {name}() is refused: seen {type(returned).__name__}, which "
            "nobody would await; write a plain function."
        )
    return returned


async def async_result_of(name: str, returned: Awaitable[T]) -> T:
    """Await what a function returned, if it can be awaited."""
    if not isinstance(cast("object", returned), Awaitable):
        raise ArgumentError(
            f"The result of {name}() is refused: seen {type(returned).__name__}, which "
            "cannot be awaited; write an async function."
        )
    return await returned


def flags_of(function: object) -> int:
    """Return what the code of a function says that it is."""
    code = getattr(function, "__code__", None)
    if code is None and isinstance(function, partial):
        return flags_of(cast("partial[object]", function).func)
    if code is None:  # an object that can be called, or not
        code = getattr(type(function).__call__, "__code__", None)
    return cast("int", getattr(code, "co_flags", 0))
