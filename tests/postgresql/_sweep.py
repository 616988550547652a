"""A body that is cancelled at each of its awaits, and what is left of it then."""

from __future__ import annotations

import gc
from itertools import count
from typing import TYPE_CHECKING

from sqlalchemy import event
from sqlalchemy.testing.cancellation import sweep

from async_layers._wire import in_transaction
from tests.postgresql._dialects import OURS_ASYNC, open_async_engine
from tests.postgresql._tasks import becomes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from sqlalchemy.ext.asyncio import AsyncEngine

    from tests.postgresql._people import People

    Body = Callable[[AsyncEngine, People, int], Awaitable[None]]


class Sweep:
    """A body that is swept on one table, and what an observer sees there."""

    def __init__(self, url: str, people: People, **arguments: Any) -> None:
        """Take the server, the table, and what engines are opened with."""
        self._url, self._people, self._arguments = url, people, arguments
        self._name = f"sweep of {people.schema}"
        self._numbers = count(1, 2)
        self.open = 0

    async def run(self, body: Body, **options: Any) -> list[str]:
        """Cancel a body at each of its awaits; return what SQLAlchemy finds wrong."""

        async def scenario(engine: AsyncEngine) -> None:
            await body(engine, self._people, next(self._numbers))

        found: list[str] = await sweep(self._open, scenario, **options)  # type: ignore[no-untyped-call] # SQLAlchemy's tests have no types
        gc.collect()  # what is pending and lost says so
        return found

    def _open(self) -> AsyncEngine:
        named = {"server_settings": {"application_name": self._name}}
        engine = open_async_engine(
            OURS_ASYNC, self._url, connect_args=named, **self._arguments
        )
        event.listen(engine.sync_engine, "checkin", self._checked_in)
        return engine

    def _checked_in(self, connection: Any, record: Any) -> None:
        if connection is not None and in_transaction(record.driver_connection):
            self.open += 1

    def halves(self) -> list[int]:
        """Return the odd numbers of those who are there alone, or without."""
        table = f"{self._people.schema}.person"
        found: list[tuple[int]] = self._people.observer.execute(
            "SELECT (id - 1) / 2 * 2 + 1 AS first "  # noqa: S608 - a name of ours
            f"FROM {table} GROUP BY first HAVING count(*) <> 2".encode()
        ).fetchall()
        return [number for (number,) in found]

    async def ends(self) -> bool:
        """Say whether no backend is left of all the engines."""

        def ended() -> bool:
            found = self._people.observer.execute(
                "SELECT 1 FROM pg_stat_activity WHERE application_name = %s",
                [self._name],
            )
            return found.fetchone() is None

        return await becomes(ended)
