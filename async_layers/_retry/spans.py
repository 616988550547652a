"""What OpenTelemetry is told, where a program has it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from async_layers._retry.policy import Attempt
    from async_layers.outcome import Outcome

_PREFIX = "async_layers.transaction"


def tell_again(attempt: Attempt) -> None:
    """Add an event to the span around the call: it is run again."""
    span = _span()
    if span is not None:
        attributes = {
            f"{_PREFIX}.attempt": attempt.number,
            f"{_PREFIX}.reason": attempt.reason,
            f"{_PREFIX}.pause": attempt.pause,
            "error.type": type(attempt.error).__qualname__,
        }
        span.add_event(f"{_PREFIX}.again", attributes)


def tell_end(attempts: int, outcome: Outcome | None) -> None:
    """Set on the span around the call how often it ran, and how it ended."""
    span = _span()
    if span is not None:
        span.set_attribute(f"{_PREFIX}.attempts", attempts)
        if outcome is not None:
            span.set_attribute(f"{_PREFIX}.outcome", outcome.value)


def _span() -> Any:  # noqa: ANN401 - OpenTelemetry's, which need not be there
    """Return the span that is recorded here; who records has imported what it needs."""
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    span = trace.get_current_span()
    return span if span.is_recording() else None
