"""Warn of connections that are held for long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy import Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine

from async_layers._layers.holding.holders import LOG
from async_layers._options import require_seconds

if TYPE_CHECKING:
    from async_layers._layers.holding.holders import Holder

E = TypeVar("E", Engine, AsyncEngine)


def warn_of_holding(engine: E, seconds: float | None) -> E:
    """Return the engine, which logs it when a connection was out for so long.

    None of them is too long for None. Raises `ArgumentError` for what is no time.
    """
    if seconds is None:
        return engine
    require_seconds("hold_warning", seconds)
    sync: Any = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    sync.hold_warning = seconds

    def returned(_: object, record: Any) -> None:  # noqa: ANN401 - has no public name
        kept = cast("dict[str, Holder]", vars(record))
        holder = kept.pop("holder", None)
        if holder is not None and holder.seconds >= seconds:
            LOG.warning(
                "A connection comes back late: seen %s with it for %.1f s "
                "(hold_warning=%s), from %s; write what is slow outside of its block.",
                holder.name,
                holder.seconds,
                seconds,
                holder.place,
            )

    event.listen(sync, "checkin", returned)
    return engine


def keep(holder: Holder) -> None:
    """Keep a note until the connection is back: the pool forgets it before."""
    holder.record.holder = holder
