"""What each of SQLAlchemy's three layers did, in order."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.table import Table
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

Layer = Literal["session", "connection", "engine"]


@dataclass(slots=True)
class Event:
    """One thing that one layer did.

    `text` is in the vocabulary of SQL (`BEGIN`, `INSERT account`) for the
    connection, of SQLAlchemy for the session (`flush`) and the engine
    (`checkout`). `connection` numbers the server's connections in the order
    in which they were seen, from 1; None for the session. `seconds` is
    measured from the start of the trace.
    """

    layer: Layer
    text: str
    seconds: float
    connection: int | None = None
    failed: bool = False

    def __str__(self) -> str:
        """Return the event as a line: `INSERT account #2 (failed)`."""
        number = f" #{self.connection}" if (self.connection or 1) > 1 else ""
        return f"{self.text}{number}{' (failed)' if self.failed else ''}"


@dataclass(slots=True)
class Trace:
    """The events of a `trace()` block, in order; `str()` is stable text."""

    events: list[Event] = field(default_factory=list[Event])

    def __str__(self) -> str:
        """Return a line an event, without timings."""
        return "\n".join(map(str, self.events))

    def by_connection(self) -> str:
        """Return the lines of the session, then of each connection in turn.

        The order between connections that work at the same time is chance;
        the order within each is not.
        """
        ordered = sorted(self.events, key=lambda event: event.connection or 0)
        return "\n".join(map(str, ordered))

    def __rich__(self) -> Table:
        """Draw three lanes: session, connection, engine."""
        from async_layers._trace.lanes import lanes  # noqa: PLC0415 - rich is an extra

        return lanes(self.events)


@contextmanager
def trace(
    engine: Engine | AsyncEngine | None = None,
    *,
    observe: Callable[[Event, object], None] | None = None,
) -> Iterator[Trace]:
    """Record what the engine, its connections and its sessions do in the block.

    An engine that `execution_options()` made is recorded with the one that it
    was made of. Without an engine, every engine of the process is recorded,
    also one that is opened inside the block. `BEGIN` appears where the server
    gets it, with the statement that it precedes, and not where SQLAlchemy
    begins; a `COMMIT` or `ROLLBACK` that a driver does not send does not appear.
    Ahead of a statement that failed since its `BEGIN` did, both are marked so.

    `observe(event, driver_connection)` is called each time that an event of
    the connection's layer is over; it may block and must not use the
    connection. Threads that work at the same time share one trace, whose order
    between them is chance. To trace every engine is for one thread: it changes
    what SQLAlchemy's classes listen to.
    """
    # These cost an import only where a trace is made.
    from async_layers._trace.listening import listening  # noqa: PLC0415
    from async_layers._trace.record import Record  # noqa: PLC0415

    recorded = Trace()
    target = getattr(engine, "sync_engine", engine)
    # The engine that execution_options() made this one of: both share a pool.
    target = cast("Engine | None", getattr(target, "_proxied", target))
    with listening(Record(recorded.events, observe), target):
        yield recorded
