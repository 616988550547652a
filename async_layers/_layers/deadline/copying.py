"""A COPY, which no statement of SQLAlchemy's is, within the deadline of its scope."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from async_layers._layers.deadline.timed import TimedConnection

if TYPE_CHECKING:
    from types import TracebackType

    from sqlalchemy import Connection


class WithinDeadline:
    """A block in either world, which waits for the server itself."""

    def __init__(self, connection: Connection, words: str) -> None:
        self._block: AbstractContextManager[object] = nullcontext()
        self._limit = None
        if isinstance(connection, TimedConnection):
            self._limit = connection.limit
            operation = self._limit.statement(connection.engine.pool, words)
            self._block = connection.within(operation)

    def __enter__(self) -> None:
        """Begin, or refuse to."""
        self._block.__enter__()

    def __exit__(
        self,
        class_: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """Say what ran out, if it did."""
        return self._block.__exit__(class_, error, traceback)

    async def __aenter__(self) -> None:
        """Begin, or refuse to."""
        self.__enter__()

    async def __aexit__(
        self,
        class_: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """Say what ran out, if it did, when the server has been told."""
        if self._limit is not None:
            await self._limit.settled()
        return self.__exit__(class_, error, traceback)
