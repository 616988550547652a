"""Classes of the user's, or of SQLAlchemy's, with one of ours before them."""

from __future__ import annotations

from types import new_class
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_origin

if TYPE_CHECKING:
    from collections.abc import Callable

C = TypeVar("C", bound=type)
T = TypeVar("T")


def made(first: type, class_: C) -> C:
    """Return a subclass with the same name, in which our methods come first.

    It is made once for as long as somebody uses it: a class knows its subclasses,
    and keeps none of them alive.
    """
    plain: Any = get_origin(class_) or class_  # of a generic one, as of list[int]
    if issubclass(plain, first):
        return cast("C", plain)
    for known in plain.__subclasses__():
        if known.__dict__.get("layers_first") is first:
            return cast("C", known)
    names = {
        "__slots__": (),
        "__module__": plain.__module__,
        "__qualname__": plain.__qualname__,
        "__doc__": plain.__doc__,
        "layers_first": first,
    }
    fill: Callable[[dict[str, Any]], None] = lambda body: body.update(names)  # noqa: E731
    return cast("C", new_class(plain.__name__, (first, plain), None, fill))


def make_below(first: type, class_: Any) -> None:  # noqa: ANN401 - of AsyncSession
    """Have the sessions below those of a class of asyncio come with our methods first.

    They are made so, and need not be remade one by one, if nobody says otherwise.
    """
    if isinstance(class_.sync_session_class, type):
        class_.sync_session_class = made(first, class_.sync_session_class)


# Of our classes and SQLAlchemy's, which live for as long as the program does.
_READY: dict[tuple[type, type], type] = {}


def ready(first: type, *classes: type) -> None:
    """Make what is needed for each transaction, so that it is not looked for."""
    for class_ in classes:
        # Not where the class is what ours stands on, and so is laid out alike.
        over = class_ in first.__bases__
        _READY[first, class_] = first if over else made(first, class_)


def remade(first: type, thing: T) -> T:
    """Return the thing, which has our methods first from now on."""
    class_ = type(thing)
    known = _READY.get((first, class_))
    if known is not None:
        thing.__class__ = known
    elif not issubclass(class_, first):
        changed: Any = thing
        # Where the class is what ours stands on, which has subclasses without number.
        changed.__class__ = first if class_ in first.__bases__ else made(first, class_)
    return thing
