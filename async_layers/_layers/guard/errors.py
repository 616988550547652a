"""What a guard refuses, and in which words; no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias
from weakref import ref

from sqlalchemy.exc import ArgumentError, InvalidRequestError

from async_layers._layers.guard.callers import named

if TYPE_CHECKING:
    from collections.abc import Callable

    from async_layers._layers.guard.callers import Caller

Guarding: TypeAlias = Literal["on", "off"]


class GuardError(InvalidRequestError):
    """Two tasks, or two threads, share a transaction in a way that loses data.

    What is refused has not been done: the transaction is as it was.
    """


class Use:
    """What a task or a thread did last; it is not kept alive by this."""

    __slots__ = ("deed", "who")

    def __init__(self, caller: Caller, deed: str) -> None:
        self.who: Callable[[], Caller | None]
        # As isinstance() of both, which is a call more for each transaction.
        self.who = caller.__index__ if type(caller) is int else ref(caller)
        self.deed = deed


def in_flight(
    deed: str, caller: Caller, last: Use | None, busy: Caller | None
) -> GuardError:
    """Return the error of a second operation at the same time."""
    doing = "an operation" if last is None else f"{last.deed}()"
    return GuardError(
        f"{deed}() of {named(caller)} is refused: seen {doing} of {named(busy)} in "
        "flight; write one after the other, or a connection or session for each."
    )


def in_turns(deed: str, caller: Caller, last: Use) -> GuardError:
    """Return the error of somebody who goes on, though a later one still lives."""
    return GuardError(
        f"{deed}() of {named(caller)} is refused: seen {last.deed}() of "
        f"{named(last.who())} in the same transaction, while both live; write a "
        "transaction for each, or wait for the other to end."
    )


def of_another(deed: str, caller: Caller, began: Use) -> GuardError:
    """Return the error of an end that is another's to make."""
    return GuardError(
        f"{deed}() of {named(caller)} is refused: seen {began.deed}() of "
        f"{named(began.who())}, which began the transaction and lives; write "
        f"{deed}() there, or hand_over() there first."
    )


def require_guarding(guard: object) -> Guarding:
    """Refuse what is neither on nor off."""
    if guard == "on":
        return "on"
    if guard == "off":
        return "off"
    raise ArgumentError(
        f"guard is refused: seen {guard!r}; write guard='on' or guard='off'."
    )
