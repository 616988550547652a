"""How often a transaction is run again, and what for."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

from sqlalchemy.exc import ArgumentError

from async_layers._options import require_seconds
from async_layers._retry.functions import flags_of

if TYPE_CHECKING:
    from collections.abc import Callable


class Attempt(NamedTuple):
    """An attempt that failed and is followed by another: what a hook is told.

    `number` counts from 1, `pause` is how many seconds are waited now, and `seconds`
    is how long the call has taken so far.
    """

    number: int
    error: Exception
    reason: str
    pause: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a transaction is run again, and what for.

    Raises `ArgumentError` for what is none of that.

    `attempts`: how often it is run at most, the first time included; 1 for never
    again.
    `timeout`: seconds from the beginning of the call; no attempt begins later. None
    for no such bound. An attempt that is under way is not interrupted.
    `wait_initial`, `wait_max`: the longest pause after the first attempt, and after
    any, in seconds. The longest pause doubles with each attempt, and the pause is
    random below it, so that those who collide do not meet again (full jitter).
    `lock_timeouts`: run again after a lock timeout as well (PostgreSQL 55P03, MySQL
    1205 and 3572); it has waited already.
    `retryable`: what else to run again for: called with an exception, says so.
    `before_sleep`: called before each pause, with an `Attempt`; what it raises ends
    the call.
    """

    attempts: int = 5
    timeout: float | None = 30.0
    wait_initial: float = 0.05
    wait_max: float = 5.0
    lock_timeouts: bool = False
    retryable: Callable[[Exception], bool] | None = None
    before_sleep: Callable[[Attempt], object] | None = None

    def __post_init__(self) -> None:
        """Refuse what would never end, never begin, or be ignored."""
        attempts = cast("object", self.attempts)
        if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 1:
            raise _refused("attempts", attempts, "a whole number from 1")
        if self.timeout is not None:
            require_seconds("timeout", self.timeout)
        require_seconds("wait_initial", self.wait_initial, or_none=True)
        require_seconds("wait_max", self.wait_max, or_none=True)
        lock_timeouts = cast("object", self.lock_timeouts)
        if not isinstance(lock_timeouts, bool):
            raise _refused("lock_timeouts", lock_timeouts, "True or False")
        for name in ("retryable", "before_sleep"):
            given: object = getattr(self, name)
            if given is not None and not _is_plain(given):
                raise _refused(name, given, "a function that is not awaited")


def _is_plain(function: object) -> bool:
    """Say whether a function answers when it is called; a class answers yes to all."""
    awaited = flags_of(function) & inspect.CO_COROUTINE
    return callable(function) and not isinstance(function, type) and not awaited


def _refused(name: str, value: object, instead: str) -> ArgumentError:
    return ArgumentError(
        f"{name} is refused: seen {value!r}; write {instead}, or leave it out."
    )


def require_policy(retry: object) -> Retry:
    """Return the policy of a call, the default for None; refuse what is none."""
    if retry is None:
        return DEFAULT
    if not isinstance(retry, Retry):
        raise _refused("retry", retry, "Retry(...)")
    return retry


DEFAULT = Retry()
