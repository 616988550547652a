"""Run one half of a pair, and note all that it leaves behind."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from sqlalchemy import AdaptedConnection, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import Pool, QueuePool

from async_layers._wire import driver_of
from async_layers.engine import create_engine
from async_layers.engine_async import async_engine_scope
from async_layers.session import sessionmaker
from async_layers.session_async import async_sessionmaker
from async_layers.trace import Trace, trace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from sqlalchemy import Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

    from async_layers._proof.facts import Fact
    from async_layers._proof.scratch import Scratch
    from async_layers._proof.witness import Sight
    from async_layers.trace import Event

# A half that takes longer fails; a fact takes far less. An asyncio half that
# waits is ended, a blocking one is told of when it is over.
SECONDS = 30.0


@dataclass(slots=True)
class Outcome:
    """What one half of a pair left behind; the parts mean what `Expectation` says.

    `server` is what the server saw after each event of the connections, `untold`
    what it was sent after the last one.
    """

    result: str = "None"
    error: str = ""
    driver_error: str = ""
    trace: str = ""
    rows: str = ""
    pool: str = ""
    driver: str = ""
    server: list[tuple[Event, Sight]] = field(
        default_factory=list["tuple[Event, Sight]"]
    )
    untold: list[str] = field(default_factory=list[str])
    recorded: Trace = field(default_factory=Trace)

    def raised(self, error: Exception) -> None:
        """Note an error by its class, its code and the driver's class."""
        self.result = ""
        self.error = type(error).__name__
        if isinstance(error, DBAPIError):
            driver = error.driver_exception
            self.driver_error = type(driver).__name__
            # The server may have said more than the driver's own error knows.
            code = getattr(error.orig, "sqlstate", None)
            code = code or getattr(driver, "sqlite_errorname", None)
            self.error = f"{self.error} {code}" if code else self.error


class _Watch:
    """Asks the server and the observer after each event."""

    def __init__(self, place: Scratch, world: str, outcome: Outcome) -> None:
        self._place = place
        self._asyncio = world == "async"
        self._outcome = outcome
        self._witness = place.witness()
        self._rows = place.rows() or []
        self._changes = list[str]()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Attend to every connection that is opened in the block."""
        event.listen(Pool, "connect", self._connect)
        try:
            yield
        finally:
            event.remove(Pool, "connect", self._connect)

    def _connect(self, connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        self._witness.attend(connection)
        if isinstance(connection, AdaptedConnection) != self._asyncio:
            self._outcome.driver = f"{driver_of(connection)} of the other world"

    @contextmanager
    def traced(self) -> Iterator[None]:
        """Trace what the half does, with all engines of the process."""
        self._witness.start()
        with trace(observe=self._observe) as self._outcome.recorded:
            yield
        self._outcome.untold = self._witness.untold()

    def _observe(self, seen: Event, driver: object) -> None:
        """Note what the server sees of a connection, and what others see of rows."""
        self._outcome.server.append((seen, self._witness.see(seen, driver)))
        self._look(str(seen))

    def _look(self, after: str) -> None:
        rows = self._place.rows()
        if rows is None:  # locked: the observer waits for no one
            return
        gone = [f"- {row}" for row in self._rows if row not in rows]
        new = [f"+ {row}" for row in rows if row not in self._rows]
        if gone or new:
            self._changes.append(f"{after}: {', '.join(gone + new)}")
        self._rows = rows

    def finish(self, *, by_connection: bool) -> None:
        """Note what is left when the half is over."""
        self._look("afterwards")
        self._outcome.rows = "\n".join(self._changes)
        recorded = self._outcome.recorded
        self._outcome.trace = (
            recorded.by_connection() if by_connection else str(recorded)
        )


def run_half(fact: Fact, world: str, place: Scratch) -> Outcome:
    """Run one half of a fact on fresh tables and return what it left behind."""
    place.fresh()
    outcome = Outcome()
    watch = _Watch(place, world, outcome)
    start = time.perf_counter()
    with watch.watching():
        if world == "sync":
            _run_blocking(fact, place, outcome, watch)
        else:
            asyncio.run(_run_asyncio(fact, place, outcome, watch))
    if time.perf_counter() - start > SECONDS:
        outcome.raised(TimeoutError())
    watch.finish(by_connection=fact.by_connection)
    return outcome


def _run_blocking(fact: Fact, place: Scratch, outcome: Outcome, watch: _Watch) -> None:
    url = place.urls["sync"]
    if fact.argument() == "url":
        with watch.traced():
            _call(outcome, fact.blocking, url)
        outcome.pool = _left_open(outcome.recorded) + place.left()
        return
    engine = create_engine(url)
    asked = place.settings()
    with engine.connect() as connection:
        before = [connection.exec_driver_sql(sql).all() for sql in asked]
    argument = sessionmaker(engine) if fact.argument() == "factory" else engine
    with watch.traced():
        _call(outcome, fact.blocking, argument)
    outcome.pool = _pool_state(engine)
    if outcome.pool == _ALL_BACK:
        with _broken_is_told(outcome), engine.connect() as connection:
            after = [connection.exec_driver_sql(sql).all() for sql in asked]
            outcome.pool += _changed(before, after)
    outcome.pool += place.left()
    engine.dispose()


def _call(outcome: Outcome, function: Callable[..., object], argument: object) -> None:
    try:
        outcome.result = repr(function(argument))
    except Exception as error:  # noqa: BLE001 - any error is an outcome
        outcome.raised(error)


async def _run_asyncio(
    fact: Fact, place: Scratch, outcome: Outcome, watch: _Watch
) -> None:
    url = place.urls["async"]
    if fact.argument() == "url":
        with watch.traced():
            await _await(outcome, fact.asyncio, url)
        outcome.pool = _left_open(outcome.recorded) + place.left()
        return
    async with async_engine_scope(url) as engine:
        asked = place.settings()
        async with engine.connect() as connection:
            before = [(await connection.exec_driver_sql(sql)).all() for sql in asked]
        argument = (
            async_sessionmaker(engine) if fact.argument() == "factory" else engine
        )
        with watch.traced():
            await _await(outcome, fact.asyncio, argument)
        outcome.pool = _pool_state(engine.sync_engine)
        if outcome.pool == _ALL_BACK:
            with _broken_is_told(outcome):
                async with engine.connect() as connection:
                    rows = [await connection.exec_driver_sql(sql) for sql in asked]
                    outcome.pool += _changed(before, [one.all() for one in rows])
        outcome.pool += place.left()


async def _await(
    outcome: Outcome, function: Callable[..., object], argument: object
) -> None:
    try:
        async with asyncio.timeout(SECONDS):
            awaitable = cast("Awaitable[object]", function(argument))
            outcome.result = repr(await awaitable)
    except Exception as error:  # noqa: BLE001 - any error is an outcome
        outcome.raised(error)


def _pool_state(engine: Engine) -> str:
    """Return how many connections are lent: `0 out`."""
    return f"{cast('QueuePool', engine.pool).checkedout()} out"


_ALL_BACK = "0 out"


@contextmanager
def _broken_is_told(outcome: Outcome) -> Iterator[None]:
    """Say of a pool that it lends a connection which cannot be used."""
    try:
        yield
    except DBAPIError as error:
        outcome.pool += f", broken: {type(error).__name__}"


def _changed(
    before: Sequence[Sequence[object]], after: Sequence[Sequence[object]]
) -> str:
    """Return what a connection of the pool was told of its session, and kept."""
    told = [
        str(row)
        for rows, new in zip(before, after, strict=True)
        for row in new
        if row not in rows
    ]
    return f", kept {' '.join(told)}" if told else ""


def _left_open(recorded: Trace) -> str:
    """Return what engines that the half opened itself have not given back."""
    texts = [event.text for event in recorded.events if not event.failed]
    out = texts.count("checkout") - texts.count("checkin")
    open_ = texts.count("connect") - texts.count("close")
    return f"{out} out, {open_} open" if open_ else f"{out} out"
