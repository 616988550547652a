"""When the time of a scope is over."""

from __future__ import annotations

from builtins import TimeoutError as BuiltinTimeoutError

from sqlalchemy.exc import TimeoutError  # noqa: A004 - its name


class DeadlineExceeded(TimeoutError, BuiltinTimeoutError):  # noqa: N818 - a name for both
    """The time of a scope is over: what ran was stopped, or what comes is refused.

    It is caught as SQLAlchemy's `TimeoutError` and as Python's. `part` says what ran
    out: "waiting for the pool", "connecting", "a statement" or "COMMIT"; `seconds` is
    the deadline of the scope. The driver's error, if there is one, is its cause.
    """

    def __init__(self, message: str, *, part: str = "", seconds: float = 0.0) -> None:
        super().__init__(message)
        self.part = part
        self.seconds = seconds
