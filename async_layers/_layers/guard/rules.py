"""Who may use a connection or a session next; no I/O."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from async_layers._layers.guard.callers import is_over, is_run_by, of_asyncio
from async_layers._layers.guard.errors import (
    GuardError,
    Use,
    in_flight,
    in_turns,
    of_another,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from async_layers._layers.guard.callers import Caller


class Guard:
    """The rules for one connection or session.

    One operation at a time; who used the transaction before may go on only when all
    who used it after have ended; it is ended by who began it.
    """

    __slots__ = (
        "_below",
        "_busy",
        "_ending",
        "_last",
        "_lock",
        "_owner",
        "_savepoints",
        "_several",
        "_waiting",
        "here",
    )

    def __init__(
        self, here: Callable[[], Caller], *, several_transactions: bool = False
    ) -> None:
        self.here = here
        self._lock = threading.Lock()
        self._busy: Caller | None = None
        self._ending = False
        self._waiting: tuple[Callable[[], object], ...] = ()
        self._several = several_transactions
        self._savepoints: WeakKeyDictionary[object, Use | None] | None = None
        self._last: Use | None = None
        self._below: tuple[Use, ...] = ()
        self._owner: Use | None = None

    def enter(self, deed: str, caller: Caller | None = None) -> bool:
        """Let an operation begin; False: it is part of one that has begun.

        `caller` is who asked for it, which may be another than the task that runs.
        """
        here = self.here()
        if not self._lock.acquire(False):  # noqa: FBT003 - by name it costs more
            return self._part(deed, caller, here)
        last = self._last
        if last is not None and last.who() == (caller or here):
            last.deed = deed
        elif last is None and (caller is None or caller == here):
            self._last = self._owner = Use(here, deed)
        else:
            try:
                self._change(deed, _living(caller, here))
            except GuardError:
                self._lock.release()
                raise
        self._busy = here
        return True

    def enter_end(
        self, deed: str, caller: Caller | None = None, savepoint: object = None
    ) -> bool:
        """Let the end of a transaction, or of a savepoint, begin."""
        here = self.here()
        if not self._lock.acquire(False):  # noqa: FBT003 - as above
            return self._part(deed, caller, here)
        try:
            self._judge_end(deed, _living(caller, here), savepoint)
        except GuardError:
            self._lock.release()
            raise
        self._busy = here
        self._ending = True
        return True

    def enter_own_end(self) -> bool:
        """Let an end begin where the owner was the last to use what it ends."""
        last, here = self._last, self.here()
        if last is None or last is not self._owner or last.who() != here:
            return False
        if not self._lock.acquire(False):  # noqa: FBT003 - as above
            return False
        self._busy = here
        self._ending = True
        return True

    def refusal(
        self, deed: str, caller: Caller | None = None, savepoint: object = None
    ) -> GuardError | None:
        """Return why an end would be refused now."""
        here = self.here()
        try:
            if self._lock.locked():
                self._part(deed, caller, here)
            else:
                self._judge_end(deed, _living(caller, here), savepoint)
        except GuardError as error:
            return error
        return None

    def leave(self, *, over: bool = False) -> None:
        """End the operation, and forget who used a transaction that is over."""
        if over:
            self._last = self._owner = None
            self._below = ()
        self._busy = None
        self._ending = False
        self._lock.release()
        if self._waiting:
            for call in self._waiting:
                call()

    def take(self, within: float = 0) -> bool | None:
        """Begin what leaves a block: it is refused to nobody, but may have to wait.

        False: it is part of what has begun. None: another is still busy after so
        many seconds.
        """
        here = self.here()
        if self._busy == here:
            return False
        if not self._lock.acquire(timeout=within):
            return None
        self._busy = here
        self._ending = True
        return True

    def is_inside(self) -> bool:
        """Say whether who asks is in the middle of an operation."""
        return self._busy is not None and self._busy == self.here()

    def is_free(self) -> bool:
        """Say whether nothing is in flight."""
        return not self._lock.locked()

    @contextmanager
    def telling(self, call: Callable[[], object]) -> Iterator[None]:
        """Have a function called whenever an operation ends."""
        self._waiting += (call,)
        try:
            yield
        finally:
            self._waiting = tuple(each for each in self._waiting if each != call)

    def began_savepoint(self, savepoint: object) -> None:
        """Note that the operation which runs sets a savepoint."""
        if self._savepoints is None:
            self._savepoints = WeakKeyDictionary()
        self._savepoints[savepoint] = self._last

    def hand_over(self, giver: Caller, taker: Caller) -> None:
        """Make another the one that ends the transaction."""
        self._require_owner("hand_over", giver, None)
        given = tuple(each for each in self._living_uses() if each.who() != giver)
        self._below = (*given, Use(giver, "hand_over"))
        self._last = self._owner = Use(taker, "hand_over")

    def _part(self, deed: str, caller: Caller | None, here: Caller) -> bool:
        busy = self._busy
        if busy == here:
            return False
        # An end goes on in tasks of its own, where the blocking core names no caller.
        if self._ending and self.here is of_asyncio and caller in (None, busy):
            return False
        raise in_flight(deed, here, self._last, busy)

    def _living_uses(self) -> tuple[Use, ...]:
        uses = self._below if self._last is None else (*self._below, self._last)
        return tuple(each for each in uses if not is_over(each.who()))

    def _change(self, deed: str, caller: Caller) -> None:
        """Let another go on, if those who came after it have ended."""
        if self._last is None:
            self._last = self._owner = Use(caller, deed)
            return
        living = self._living_uses()
        own = [each for each in living if each.who() == caller]
        if own and own[-1] is not living[-1] and not self._several:
            raise in_turns(deed, caller, living[-1])
        use = own[-1] if own else Use(caller, deed)
        use.deed = deed
        self._below = tuple(each for each in living if each is not use)
        self._last = use

    def _judge_end(self, deed: str, caller: Caller, savepoint: object) -> None:
        """Refuse an end to another, and to who goes on out of turn."""
        self._require_owner(deed, caller, savepoint)
        if self._last is None or self._last.who() != caller:
            self._change(deed, caller)
        else:
            self._last.deed = deed

    def _require_owner(self, deed: str, caller: Caller, savepoint: object) -> None:
        """Refuse the end of what another began that lives."""
        began = self._owner
        if savepoint is not None:
            known = self._savepoints
            began = None if known is None else known.get(savepoint)
        owner = None if began is None else began.who()
        if began is None or owner == caller or is_over(owner):
            return
        if is_run_by(caller, owner):
            return
        raise of_another(deed, caller, began)


def _living(caller: Caller | None, here: Caller) -> Caller:
    """Take the task that runs for one that asked, and has ended since."""
    if caller is None or caller == here or is_over(caller):
        return here
    return caller
