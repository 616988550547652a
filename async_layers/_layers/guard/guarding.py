"""Methods that ask the guard, in the blocking world and beneath asyncio."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from sqlalchemy import Connection

from async_layers._finish import WITHIN
from async_layers._layers.deadline.cut import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from sqlalchemy.orm import Session

    from async_layers._layers.guard.rules import Guard

C = TypeVar("C", bound=type)
Method: TypeAlias = "Callable[..., Any]"


def guarding(
    *,
    uses: str = "",
    ends: str = "",
    begins: str = "",
    finds: str = "",
    exits: Callable[[type], object],
) -> Callable[[C], C]:
    """Guard methods by name; what they do is what the next class in line does.

    What `begins` and `finds` return is a transaction, or a connection, which is
    guarded as well. `exits` makes what leaves the block.
    """
    # Not by a class to inherit from: an object changes to a class that is laid out
    # like its own, which Python sees in a single line of them.
    wrappers = ((uses, _use), (ends, _end), (begins, _begin), (finds, _find))

    def decorated(class_: C) -> C:
        for names, wrapper in wrappers:
            for name in names.split():
                setattr(class_, name, wrapper(class_, name))
        # By name, since mypy refuses the assignment.
        setattr(class_, "__exit__", exits(class_))  # noqa: B010
        return class_

    return decorated


def method_of(class_: object, name: str) -> Method:
    """Return a method by its name."""
    method: Method = getattr(class_, name)
    return method


def _use(class_: type, name: str) -> object:
    @wraps(method_of(class_, name))
    def used(self: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - SQLAlchemy's
        method: Method = getattr(super(class_, self), name)  # pyright: ignore[reportUnknownArgumentType] - any class
        guard = self.layers_guard
        if guard is None or not guard.enter(name):
            return method(*arguments, **named)
        try:
            return method(*arguments, **named)
        finally:
            guard.leave()

    return used


def _end(class_: type, name: str) -> object:
    @wraps(method_of(class_, name))
    def ended(self: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - SQLAlchemy's
        method: Method = getattr(super(class_, self), name)  # pyright: ignore[reportUnknownArgumentType] - any class
        guard = self.layers_guard
        if guard is None or guard.is_inside():
            return method(*arguments, **named)
        subject, savepoint = self.guarded_by()
        if not guard.enter_end(name, None, savepoint):
            return method(*arguments, **named)
        try:
            return method(*arguments, **named)
        finally:
            guard.leave(over=not subject.in_transaction())

    return ended


def _begin(class_: type, name: str) -> object:
    @wraps(method_of(class_, name))
    def begun(self: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - SQLAlchemy's
        method: Method = getattr(super(class_, self), name)  # pyright: ignore[reportUnknownArgumentType] - any class
        guard = self.layers_guard
        if guard is None:
            return method(*arguments, **named)
        entered = guard.enter(name)
        try:
            return self.layers_guarded(method(*arguments, **named), begun=True)
        finally:
            if entered:
                guard.leave()

    return begun


def _find(class_: type, name: str) -> object:
    @wraps(method_of(class_, name))
    def found(self: Any) -> Any:  # noqa: ANN401 - SQLAlchemy's
        return self.layers_guarded(method_of(cast("Any", super(class_, self)), name)())

    return found


def leave_block(class_: type) -> object:
    """Leave the block of a connection or session, in any task or thread."""

    @wraps(cast("Any", class_).__exit__)
    def exited(self: Any, *error: Any) -> Any:  # noqa: ANN401 - SQLAlchemy's
        exits: Callable[..., None] = cast("Any", super(class_, self)).__exit__
        guard = self.layers_guard
        taken = guard is not None and _taken(guard, self)
        try:
            return exits(*error)
        finally:
            if guard is not None and taken:
                guard.leave(over=not self.in_transaction())

    return exited


def leave_transaction(class_: type) -> object:
    """Leave the block of a transaction: what may not be committed is rolled back."""

    @wraps(cast("Any", class_).__exit__)
    def exited(
        self: Any,  # noqa: ANN401 - SQLAlchemy's
        type_: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        exits: Callable[..., None] = cast("Any", super(class_, self)).__exit__
        guard = self.layers_guard
        if guard is None:
            exits(type_, error, traceback)
            return
        subject, savepoint = self.guarded_by()
        if savepoint is None and guard.enter_own_end():
            try:
                exits(type_, error, traceback)
            finally:
                guard.leave(over=not subject.in_transaction())
            return
        refused = None if type_ else guard.refusal("commit", None, savepoint)
        taken = _taken(guard, subject)
        try:
            if refused is None:
                exits(type_, error, traceback)
            else:
                exits(type(refused), refused, None)
        finally:
            if taken:
                guard.leave(over=not subject.in_transaction())
        if refused is not None:
            raise refused

    return exited


def _taken(guard: Guard, subject: Connection | Session) -> bool:
    """Wait for what is in flight elsewhere: a block is left in any case."""
    taken = guard.take()
    if taken is None:
        seconds = patience(subject)
        taken = guard.take(seconds)
        if taken is None:
            cut_off(subject)
            taken = guard.take(seconds)
            give_up(subject)
    return bool(taken)


def patience(subject: Connection | Session) -> float:
    """Return for how many seconds the end of a transaction may be waited for."""
    options = [each.get_execution_options() for each in _connections(subject)]
    return min((each.get("finish_within", WITHIN) for each in options), default=WITHIN)


def cut_off(subject: Connection | Session) -> None:
    """Have what is in flight wait for the server no longer."""
    for each in _open(subject):
        cut(each.connection)


def give_up(subject: Connection | Session) -> None:
    """Take connections that were cut off for lost: there is nothing to roll back."""
    for each in _open(subject):
        Connection.invalidate(each)


def _connections(subject: Connection | Session) -> Iterable[Connection]:
    if isinstance(subject, Connection):
        return (subject,)
    transaction = subject.get_transaction()
    return () if transaction is None else transaction.connections


def _open(subject: Connection | Session) -> Iterable[Connection]:
    used = _connections(subject)
    return [each for each in used if not (each.closed or each.invalidated)]
