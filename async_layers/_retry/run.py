"""One call that runs a transaction until it ends: what is decided and told of it."""

from __future__ import annotations

import logging
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Self, TypeVar, cast

from sqlalchemy.exc import InvalidRequestError

from async_layers._layers.ended import Ended
from async_layers._layers.notes import add_note, is_told_unknown
from async_layers._retry.policy import Attempt, require_policy
from async_layers._retry.reasons import reason_of
from async_layers._retry.spans import tell_again, tell_end
from async_layers.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token
    from types import TracebackType

    from tenacity import RetryCallState

    from async_layers._retry.policy import Retry
    from async_layers._retry.reasons import Reason

    S = TypeVar("S", bound=Ended)

T = TypeVar("T")

_LOG = logging.getLogger("async_layers.retry")
_LEAST: Final = 0.001  # seconds; a pause may take longer than it should
_NUMBER: ContextVar[int] = ContextVar("async_layers_attempt", default=1)


def attempt_number() -> int:
    """Return which attempt this is of the call around it, counted from 1.

    The call is of `run_transaction` or `run_unit_of_work`, or of one of their twins;
    without one around it there is one attempt.
    """
    return _NUMBER.get()


class Run:
    """The attempts of one call, as a block around them.

    After one that failed `goes_on` decides; then `pause` is how long to wait. What
    leaves the block after several attempts is told how many there were.
    """

    pause = 0.0

    def __init__(
        self,
        helper: Callable[..., object],
        retry: Retry | None,
        deadline: float | None = None,
    ) -> None:
        self.helper = helper.__name__
        self._retry = require_policy(retry)
        self._deadline = deadline
        self._start = time.monotonic()
        self._number = 0
        self._scope = Ended()
        self._began = False
        self._state: RetryCallState | None = None

    def __enter__(self) -> Self:
        self._token: Token[int] = _NUMBER.set(1)
        return self

    def __exit__(
        self,
        class_: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _NUMBER.reset(self._token)
        if error is not None and self._number > 1:
            add_note(error, f"{self.helper}() ended {self._taken()}.")
        tell_end(self._number, self._scope.outcome)

    @property
    def left(self) -> float | None:
        """The seconds that the deadline of all attempts leaves to the next one."""
        if self._deadline is None or self._number == 0:
            return self._deadline
        return max(self._deadline - (time.monotonic() - self._start), _LEAST)

    def starts(self, scope: S) -> S:
        """Take the scope of the next attempt."""
        self._number += 1
        _NUMBER.set(self._number)
        self._scope, self._began = scope, False
        return scope

    def begins(self) -> None:
        """Take note that the transaction is open, and the function is called."""
        self._began = True

    def ends(self, result: T) -> T:
        """Return the result of the function, if its transaction was committed."""
        if self._scope.outcome is Outcome.ROLLED_BACK:
            raise InvalidRequestError(
                f"The result of {self.helper}() is refused: seen its function return, "
                "while the transaction was not committed, but rolled back, by an error "
                "that the function has caught, or by itself; write savepoint() around "
                "what may fail, and raise an exception to roll back."
            )
        if self._number > 1:
            _LOG.info("%s() committed %s", self.helper, self._taken())
        return result

    def goes_on(self, error: BaseException) -> bool:
        """Say whether the transaction is run again after an error; set the pause."""
        reason = self._reason(error)
        if not isinstance(error, Exception) or reason is None:
            return False
        pause = self._decide(error)
        told = (self.helper, type(error).__name__, reason)
        if pause is None:
            _LOG.warning("%s(): %s (%s), given up %s", *told, self._taken())
            return False
        seconds = time.monotonic() - self._start
        attempt = Attempt(self._number, error, str(reason), pause, seconds)
        if self._retry.before_sleep is not None:
            self._retry.before_sleep(attempt)
        _LOG.info(
            "%s(): %s (%s) at attempt %d, running again in %.3f s",
            *told,
            self._number,
            pause,
        )
        tell_again(attempt)
        self.pause = pause
        return True

    def _reason(self, error: BaseException) -> Reason | None:
        """Return why to run it again; not what may have been committed."""
        if not isinstance(error, Exception):
            return None
        outcome = self._scope.outcome
        if outcome is Outcome.UNKNOWN or _is_unknown(error):
            add_note(
                error,
                f"{self.helper}() did not run it again: it may have been committed, "
                "and only the database knows.",
            )
            return None
        if self._began and outcome is not Outcome.ROLLED_BACK:
            return None
        return reason_of(error, self._retry, began=self._began)

    def _decide(self, error: Exception) -> float | None:
        """Return how long to wait before the next attempt, None for no more."""
        state = self._state = self._state or self._tenacity()
        state.attempt_number = self._number
        state.set_exception((type(error), error, error.__traceback__))
        state.upcoming_sleep = state.retry_object.wait(state)
        over = state.retry_object.stop(state)
        state.outcome = None  # it holds the error, whose frames hold the state
        return None if over else state.upcoming_sleep

    def _tenacity(self) -> RetryCallState:
        """Return what counts and draws; made when a transaction has failed."""
        import tenacity as t  # noqa: PLC0415 - not needed where nothing fails

        retry = self._retry
        stop: t.stop.stop_base = t.stop_after_attempt(retry.attempts)
        for seconds in (retry.timeout, self._deadline):
            if seconds is not None:
                stop |= t.stop_before_delay(seconds)
        wait = t.wait_random_exponential(retry.wait_initial, retry.wait_max)
        state = t.RetryCallState(t.Retrying(stop=stop, wait=wait), None, (), {})
        state.start_time = self._start
        return state

    def _taken(self) -> str:
        times = "attempt" if self._number == 1 else "attempts"
        return f"after {self._number} {times} in {time.monotonic() - self._start:.3f} s"


def _is_unknown(error: Exception) -> bool:
    """Say whether a scope has noted that nobody knows; also one in the function."""
    if isinstance(error, ExceptionGroup):
        group = cast("ExceptionGroup[Exception]", error)
        return any(map(_is_unknown, group.exceptions))
    return is_told_unknown(error)
