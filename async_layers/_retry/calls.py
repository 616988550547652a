"""What a transaction can be begun on again, and what is refused; no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import sqlalchemy.orm
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import ArgumentError, InvalidRequestError
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
)

from async_layers._layers.opened import is_open_on

if TYPE_CHECKING:
    from collections.abc import Callable

_CONNECTIONS: Final = (Connection, AsyncConnection)
_OPEN: Final = (*_CONNECTIONS, sqlalchemy.orm.Session, AsyncSession)
_FACTORIES: Final = (sqlalchemy.orm.sessionmaker, async_sessionmaker)


def require_engine(
    helper: Callable[..., object], engine: object, class_: type[Engine | AsyncEngine]
) -> None:
    """Refuse what is no engine of this world, or has a transaction open already."""
    name = helper.__name__
    if not isinstance(engine, class_):
        if isinstance(engine, _OPEN):
            raise InvalidRequestError(
                f"{name}() is refused: seen {type(engine).__name__}, whose transaction "
                "it could not begin again; write the engine, or the factory of its "
                "sessions."
            )
        raise _refused(name, engine, f"an engine of {_creator(class_)}()")
    if is_open_on(_sync(engine)):
        raise InvalidRequestError(
            f"{name}() is refused: seen inside an open transaction of the same engine, "
            "which it could not run again; write it around the whole, or use what is "
            "open."
        )


def require_factory(
    helper: Callable[..., object], factory: object, class_: type[Engine | AsyncEngine]
) -> None:
    """Refuse what makes no fresh sessions, or ones in a transaction that is open."""
    bind = factory
    if isinstance(factory, _FACTORIES):
        bind = cast("dict[str, object]", factory.kw).get("bind")
    elif not isinstance(factory, _OPEN):
        raise _refused(helper.__name__, factory, "a factory from sessionmaker(engine)")
    if bind is not None:
        require_engine(helper, bind, class_)


def _sync(engine: Engine | AsyncEngine) -> Engine:
    return engine.sync_engine if isinstance(engine, AsyncEngine) else engine


def _creator(class_: type[Engine | AsyncEngine]) -> str:
    return "create_engine" if class_ is Engine else "create_async_engine"


def _refused(name: str, seen: object, instead: str) -> ArgumentError:
    return ArgumentError(f"{name}() is refused: seen {seen!r}; write {instead}.")
