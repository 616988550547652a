"""The engine of both worlds, whose connections know how their transactions end."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from sqlalchemy import Engine
from sqlalchemy.engine.base import OptionEngine
from sqlalchemy.exc import ArgumentError, TimeoutError  # noqa: A004 - the pool's
from sqlalchemy.ext.asyncio import AsyncEngine

from async_layers._eager import ClosingEngine, EagerEngine, close_in_time
from async_layers._layers.connection import LayersConnection, require_finish_within
from async_layers._layers.deadline.checkout import check_out
from async_layers._layers.deadline.limit import OPENING
from async_layers._layers.guard.callers import current_task
from async_layers._layers.guard.made import made
from async_layers._layers.holding.holders import note_holder, tell_holders
from async_layers._layers.holding.loops import pool_at_home, refuse_waiting
from async_layers._layers.holding.warning import keep

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import PoolProxiedConnection

E = TypeVar("E", Engine, AsyncEngine)


class LayersEngine(Engine):
    """SQLAlchemy's engine, with connections that know their outcome and holder."""

    __slots__ = ()

    _connection_cls = LayersConnection
    hold_warning: float | None = None

    def raw_connection(self) -> PoolProxiedConnection:
        """Check a connection out, in its own loop, and note who holds it."""
        task = current_task() if self.dialect.is_async else None
        pool = self.pool if task is None else pool_at_home(self, task)
        try:
            connection = pool.connect() if OPENING.get() is None else check_out(pool)
        except TimeoutError as error:
            tell_holders(pool, error)
            raise
        except RuntimeError as error:
            refuse_waiting(pool, task, error)
            raise
        holder = note_holder(connection, task)
        if holder is not None and self.hold_warning is not None:
            keep(holder)
        return connection

    def update_execution_options(self, **options: Any) -> None:  # noqa: ANN401 - theirs
        """Set options of this engine; `finish_within` is a number of seconds."""
        require_finish_within(options)
        super().update_execution_options(**options)


class LayersOptionEngine(OptionEngine):
    """The same engine with other execution options.

    It stands on SQLAlchemy's class alone: an object becomes one of a class that is
    laid out like its own, which Python sees in a single line of them.
    """

    __slots__ = ()

    _proxied: Engine
    _connection_cls = LayersConnection
    raw_connection = cast("Any", LayersEngine).raw_connection

    @property
    def hold_warning(self) -> float | None:
        """After how many seconds a connection that is held is told of."""
        found: float | None = getattr(self._proxied, "hold_warning", None)
        return found

    def update_execution_options(self, **options: Any) -> None:  # noqa: ANN401 - theirs
        """Set options of this engine; `finish_within` is a number of seconds."""
        require_finish_within(options)
        super().update_execution_options(**options)


# As SQLAlchemy does.
cast("Any", LayersEngine)._option_cls = LayersOptionEngine  # noqa: SLF001
cast("Any", LayersOptionEngine)._option_cls = LayersOptionEngine  # noqa: SLF001


_OURS: frozenset[type] = frozenset(
    {LayersEngine, LayersOptionEngine, ClosingEngine, EagerEngine}
)


def adopt(engine: E) -> E:
    """Return the engine, whose connections are ours from now on.

    Nothing else of it changes: one of SQLAlchemy's own stays what it is.
    """
    if type(engine) in _OURS:
        return engine
    sync = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    if not isinstance(sync, LayersEngine | LayersOptionEngine):
        require_finish_within(sync.get_execution_options())
        sync.__class__ = _adopted(type(sync))
    if isinstance(engine, AsyncEngine):
        close_in_time(engine)
    return engine


def engine_of(engine: E, class_: type[E]) -> E:
    """Return the engine of this world, adopted, or refuse what is none."""
    if not isinstance(cast("object", engine), class_):
        creator = "create_engine" if class_ is Engine else "create_async_engine"
        raise ArgumentError(
            f"An engine is refused: seen {engine!r}; write one of {creator}()."
        )
    return adopt(engine)


def _adopted(class_: type[Engine]) -> type[Engine]:
    if class_ is Engine:
        return LayersEngine
    if class_ is OptionEngine:
        return LayersOptionEngine
    return made(LayersEngine, class_)
