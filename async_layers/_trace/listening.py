"""Listen for the length of a block, and leave nothing behind."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, cast

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
            # Before those who act on a reset: what they send comes after it.
            first = name == "reset"
            _listen(stack, engine or Pool, name, getattr(pool, name), insert=first)
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
    _copied(target, name)
    event.listen(target, name, listener, **options)
    stack.callback(event.remove, target, name, listener)
    stack.callback(_copied, target, name)  # before the removal


def _copied(target: object, name: str) -> None:
    """Let those who are among an engine's listeners now go through the old ones.

    A listener that does I/O under asyncio stops in the middle of them, and other
    tasks go on; SQLAlchemy changes the list in place.
    """
    if not isinstance(target, Engine):
        return
    owners = (target.pool, target.dialect, target)
    owner = next(one for one in owners if name in _names(one))
    found = getattr(owner.dispatch, name).for_modify(owner.dispatch)
    found.listeners = type(found.listeners)(found.listeners)


@contextmanager
def _silence_restored(engine: Engine | type[Engine]) -> Iterator[None]:
    """Leave an engine, or all, as quick as it was before anybody listened.

    `event.remove()` takes a listener away and leaves the flag set that makes
    SQLAlchemy look for listeners at every statement.
    """
    dialect = engine.dialect if isinstance(engine, Engine) else Dialect
    targets: list[_Target] = [engine, dialect]
    quiet = [target for target in targets if not vars(target).get("_has_events")]
    try:
        yield
    finally:
        for target in quiet:
            if any(_is_heard(target, name) for name in _names(target)):
                continue
            if isinstance(target, type):
                target._has_events = False  # noqa: SLF001
            else:  # the class's own flag holds again
                vars(target).pop("_has_events", None)


def _names(target: _Target | Pool) -> list[str]:
    """Return the names of the events that a target has."""
    return cast("list[str]", target.dispatch._event_names)  # noqa: SLF001


def _is_heard(target: _Target, name: str) -> bool:
    """Say whether anybody listens to an event of an engine, or of all of them."""
    found = getattr(target.dispatch, name)
    if isinstance(target, type):
        return bool(found._clslevel.get(target))  # noqa: SLF001
    return bool(found.listeners)
