"""Listen for the length of a block, and leave nothing behind."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import Dialect, Engine, event
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.pool import Pool

from async_layers._trace.connection_lane import ConnectionLane
from async_layers._trace.engine_lane import EngineLane
from async_layers._trace.session_lane import SessionLane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from async_layers._trace.record import Record

    _Target = Engine | Dialect | type[Engine | Dialect]


@contextmanager
def listening(record: Record, engine: Engine | None) -> Iterator[None]:
    """Record what an engine, or every engine, does in the block."""
    target = engine or Engine
    pool, connection = EngineLane(record), ConnectionLane(record)
    session = SessionLane(record, engine)
    with _silence_restored(target), ExitStack() as stack:
        for name in pool.EVENTS:
            _listen(stack, engine or Pool, name, getattr(pool, name))
        for name in connection.EVENTS:
            _listen(stack, target, name, getattr(connection, name))
        # A listener that returns what it was given is spared a wrapper.
        execute = connection.before_cursor_execute
        _listen(stack, target, "before_cursor_execute", execute, retval=True)
        _listen(stack, target, "engine_disposed", pool.engine_disposed)
        _listen(stack, target, "handle_error", connection.handle_error)
        for name in session.EVENTS:
            _listen(stack, Session, name, getattr(session, name))
        _listen(stack, Mapper, "expire", session.expire, raw=True)
        try:
            yield
        finally:
            record.settle_all()


def _listen(
    stack: ExitStack,
    target: object,
    name: str,
    listener: Callable[..., object],
    **options: bool,
) -> None:
    event.listen(target, name, listener, **options)
    stack.callback(event.remove, target, name, listener)


@contextmanager
def _silence_restored(engine: Engine | type[Engine]) -> Iterator[None]:
    """Leave an engine, or all, as quick as it was before anybody listened.

    `event.remove()` takes a listener away and leaves the flag set that makes
    SQLAlchemy look for listeners at every statement.
    """
    dialect = engine.dialect if isinstance(engine, Engine) else Dialect
    names = {
        engine: (*ConnectionLane.EVENTS, "before_cursor_execute", "engine_disposed"),
        dialect: ("handle_error", "do_execute"),
    }
    quiet = [target for target in names if not vars(target).get("_has_events")]
    try:
        yield
    finally:
        for target in quiet:
            heard = any(_is_heard(target, name) for name in names[target])
            target._has_events = heard  # noqa: SLF001


def _is_heard(target: _Target, name: str) -> bool:
    """Say whether anybody listens to an event of an engine, or of all of them."""
    found = getattr(target.dispatch, name)
    if isinstance(target, type):
        return bool(found._clslevel.get(target))  # noqa: SLF001
    return bool(found.listeners)
