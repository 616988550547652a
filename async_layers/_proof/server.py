"""Whether the server agrees with what a trace says of its transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from async_layers._proof.outcome import Outcome
    from async_layers._proof.witness import Sight
    from async_layers.trace import Event


def contradictions(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Yield what the trace says and what the server saw, where they do not agree."""
    yield from _not_asked(outcome)
    claims = _claims(outcome.recorded.events)
    begins = _begins(outcome.recorded.events)
    for event, sight in outcome.server:
        # Whether a COMMIT that fails ends its transaction is told by what follows.
        if sight.state == "gone" or (event.failed and _ends_transaction(event)):
            continue
        begin, claimed = begins[id(event)], claims[id(event)]
        seen = "idle" if sight.state == "idle" else "in transaction"
        if claimed != seen or not _confirmed(event, sight, begin):
            traced = ", ".join(filter(None, [begin, f"{event}: {claimed}"]))
            yield traced, f"{', '.join(sight.statements)}: {sight.state}"
    # A connection that is given up may be told to roll back first.
    own = {*_SESSION, "ROLLBACK"}
    untold = ", ".join(sent for sent in outcome.untold if sent not in own)
    if untold:
        yield "nothing more", untold


def _not_asked(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Yield the events of which the server said nothing; a BEGIN rides with another."""
    asked = {id(event) for event, sight in outcome.server if _told(event, sight)}
    for event in outcome.recorded.events:
        asks = event.layer == "connection" and not event.text.startswith("BEGIN")
        if asks and id(event) not in asked:
            yield str(event), "was not asked"


def _begins(events: list[Event]) -> dict[int, str]:
    """Say, for each event, which BEGIN went out ahead of it."""
    open_: dict[int | None, str] = {}
    begins = dict[int, str]()
    for event in events:
        if event.layer == "connection":
            begins[id(event)] = open_.pop(event.connection, "")
            if event.text.startswith("BEGIN") and not event.failed:
                open_[event.connection] = event.text
    return begins


def _claims(events: list[Event]) -> dict[int, str]:
    """Say, for each event, what it means for the transaction of its connection."""
    open_: dict[int | None, bool] = {}
    claims = dict[int, str]()
    for event in events:
        if event.text.startswith("BEGIN"):
            open_[event.connection] = not event.failed
        elif _ends_transaction(event):
            open_[event.connection] = False
        in_transaction = open_.get(event.connection, False)
        claims[id(event)] = "in transaction" if in_transaction else "idle"
    return claims


def _ends_transaction(event: Event) -> bool:
    text = event.text
    if text.startswith(("COMMIT PREPARED", "ROLLBACK PREPARED", "ROLLBACK TO")):
        return False
    return text.startswith(("COMMIT", "ROLLBACK", "PREPARE TRANSACTION"))


def _told(event: Event, sight: Sight) -> bool:
    """Say whether the server knows of the connection, or may have lost it."""
    return sight.state != "gone" or event.failed


# What a driver sends for a statement, or after it, is its own affair: psycopg reads
# streams through a cursor, and forgets what it prepared when it rolls back.
_OWN = {"SELECT": ("DECLARE", "FETCH", "CLOSE"), "ROLLBACK": ("DEALLOCATE",)}
# What SQLite is told of the session by its dialect, and asked of its file.
_SESSION = {
    "PRAGMA busy_timeout",
    "PRAGMA database_list",
    "PRAGMA foreign_keys",
    "PRAGMA journal_mode",
    "PRAGMA query_only",
    "PRAGMA read_uncommitted",
}


def _confirmed(event: Event, sight: Sight, begin: str) -> bool:
    """Say whether the server was sent the statement that the trace names.

    SQLite tells all that it was sent since the last event, PostgreSQL the last.
    """
    heard = {text for text in sight.statements if text.startswith("BEGIN")}
    if not heard <= {begin, event.text}:
        return False
    if event.failed or event.text.endswith("(by the database)"):
        return True
    named = event.text.partition(" x")[0]
    own = _OWN.get(named.partition(" ")[0], ())
    said = {text for text in sight.statements if not text.startswith((*own, "BEGIN"))}
    return bool(sight.statements) and said - _SESSION <= {named}
