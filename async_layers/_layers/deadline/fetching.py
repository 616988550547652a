"""Fetch the rows of a stream within the deadline of its scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from sqlalchemy import CursorResult
    from sqlalchemy.engine.cursor import ResultFetchStrategy

    from async_layers._layers.deadline.timed import TimedConnection

R = TypeVar("R", bound="CursorResult[Any]")


def timed(result: R, connection: TimedConnection, words: str) -> R:
    """Return the result; if its rows are still at the server, each trip is limited."""
    if getattr(result.context, "_is_server_side", False):
        result.cursor_strategy = cast(
            "ResultFetchStrategy",
            _TimedFetch(result.cursor_strategy, connection, words),
        )
    return result


class _TimedFetch:
    """A way of SQLAlchemy's to fetch rows, within the deadline."""

    __slots__ = ("_connection", "_strategy", "_words")

    def __init__(
        self,
        strategy: Any,  # noqa: ANN401 - SQLAlchemy's, as the others
        connection: TimedConnection,
        words: str,
    ) -> None:
        self._strategy = strategy
        self._connection = connection
        self._words = words

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._strategy, name)

    def _within(self, fetch: Any, *arguments: Any) -> Any:  # noqa: ANN401
        connection = self._connection
        pool = connection.engine.pool
        with connection.within(connection.limit.statement(pool, self._words)):
            return fetch(*arguments)

    def fetchone(self, *arguments: Any) -> Any:  # noqa: ANN401
        """Fetch a row."""
        return self._within(self._strategy.fetchone, *arguments)

    def fetchmany(self, *arguments: Any) -> Any:  # noqa: ANN401
        """Fetch some rows."""
        return self._within(self._strategy.fetchmany, *arguments)

    def fetchall(self, *arguments: Any) -> Any:  # noqa: ANN401
        """Fetch the rows that are left."""
        return self._within(self._strategy.fetchall, *arguments)

    def yield_per(self, result: Any, cursor: Any, number: int) -> None:  # noqa: ANN401
        """Fetch so many rows at a time from now on."""
        self._strategy.yield_per(result, cursor, number)
        result.cursor_strategy = _TimedFetch(
            result.cursor_strategy, self._connection, self._words
        )
