"""What asyncio cannot await: a statement that reading an attribute sends."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import inspect
from sqlalchemy.exc import MissingGreenlet
from sqlalchemy.ext.asyncio import AsyncAttrs, AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.util.concurrency import in_greenlet

from async_layers._eager import EagerSession
from async_layers._layers.guard.made import made, make_below, remade
from async_layers._layers.holding.places import Place, outside

if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import TypeVar

    from sqlalchemy.orm import InstanceState, ORMExecuteState

    S = TypeVar("S", bound=AsyncSession)

_ATTRIBUTE: Any = InstrumentedAttribute
# The frames in which a program reads, sets or deletes an attribute.
_ACCESSES: set[CodeType] = {
    _ATTRIBUTE.__get__.__code__,
    _ATTRIBUTE.__set__.__code__,
    _ATTRIBUTE.__delete__.__code__,
}


class ImplicitIOError(MissingGreenlet):
    """An attribute that is not loaded was read where nothing awaits its statement.

    The message names the attribute, the line that read it, and what to write instead.
    Source: https://docs.sqlalchemy.org/en/21/orm/extensions/asyncio.html.
    """


class ExplicitSession(Session):
    """The session below one of asyncio, which is asked by `await` alone."""

    def execute(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - typed there
        """Send a statement; refuse one that nobody awaits."""
        if not in_greenlet():
            # After all other hooks: what one of them answers needs no connection.
            named["_add_event"] = _refuse
        return super().execute(*arguments, **named)


class ExplicitAsyncSession(EagerSession):
    """A session of asyncio whose implicit statements are refused by name."""

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        super().__init__(*arguments, **named)
        if not isinstance(self.sync_session, ExplicitSession):
            remade(ExplicitSession, self.sync_session)


def explicit_class(class_: type[S]) -> type[S]:
    """Return the class, whose sessions refuse implicit statements by name."""
    explicit = made(ExplicitAsyncSession, class_)
    make_below(ExplicitSession, explicit)
    return explicit


def _refuse(asked: ORMExecuteState) -> None:
    """Refuse a statement for a database that only asyncio reaches."""
    bind = asked.session.get_bind(**asked.bind_arguments)
    if not bind.dialect.is_async:
        return
    frame = sys._getframe()  # noqa: SLF001 - as SQLAlchemy's own warnings do
    place = Place.of(outside(frame) or frame)
    access = _access(frame)
    if access is None:
        raise ImplicitIOError(
            f"A statement is refused: seen at {place}, where nothing is awaited; "
            "write `await session.execute(...)`, or `await session.run_sync(function)` "
            "around what sends it."
        )
    raise ImplicitIOError(
        f"{access.name} is refused: seen unloaded at {place}, where nothing is "
        f"awaited; write {access.instead()}."
    )


class _Access(NamedTuple):
    """An attribute that a program reads or sets, and of which object."""

    state: InstanceState[Any]
    key: str

    @property
    def name(self) -> str:
        """The class and the attribute."""
        return f"{self.state.class_.__name__}.{self.key}"

    def instead(self) -> str:
        """Return the three things that one can write."""
        class_ = self.state.class_.__name__
        given = class_.lower()
        base = (
            ""
            if issubclass(self.state.class_, AsyncAttrs)
            else f" with AsyncAttrs among the bases of {class_}"
        )
        return (
            f"{self._beforehand()}, "
            f"`await session.refresh({given}, ['{self.key}'])`, "
            f"or `await {given}.awaitable_attrs.{self.key}`{base}"
        )

    def _beforehand(self) -> str:
        """Return what has the attribute loaded before it is read."""
        if self.key in self.state.mapper.relationships:
            return f"`options(selectinload({self.name}))` with the query"
        if self.key not in self.state.expired_attributes:
            return f"`options(undefer({self.name}))` with the query"
        if self.state.expired:
            return "`expire_on_commit=False` for the session"
        if self._is_made_by_server():
            return "`eager_defaults=True` in the class's `__mapper_args__`"
        return f"`await session.scalars(select({self.state.class_.__name__}))`"

    def _is_made_by_server(self) -> bool:
        """Say whether the value is not known when it has been flushed."""
        return any(
            getattr(column, where, None) is not None
            for column in self.state.mapper.column_attrs[self.key].columns
            for where in ("server_default", "server_onupdate", "onupdate")
        )


def _access(frame: FrameType | None) -> _Access | None:
    """Return the attribute whose access has led here, if one has."""
    while frame is not None and frame.f_code not in _ACCESSES:
        frame = frame.f_back
    if frame is None:
        return None
    return _Access(inspect(frame.f_locals["instance"]), frame.f_locals["self"].key)
