"""What an exception is told on its way."""

from __future__ import annotations

from async_layers.outcome import Outcome

_UNKNOWN = "The outcome of the transaction is unknown: "
_LOST = f"{_UNKNOWN}the connection was lost while COMMIT was under way."
_APART = f"{_UNKNOWN}its connections did not end alike."


def add_note(error: BaseException, note: str) -> None:
    """Add a note to an exception, once."""
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)


def tell(error: BaseException, outcome: Outcome, subject: str = "transaction") -> None:
    """Add the outcome to an exception that leaves a scope, once."""
    unknown = outcome is Outcome.UNKNOWN
    add_note(error, _LOST if unknown else f"The {subject} was {outcome.value}.")


def tell_apart(error: BaseException) -> None:
    """Add to an exception that the parts of a transaction have several outcomes."""
    add_note(error, _APART)


def is_told_unknown(error: BaseException) -> bool:
    """Say whether an exception was told that nobody knows how it ended."""
    return any(note.startswith(_UNKNOWN) for note in getattr(error, "__notes__", ()))
