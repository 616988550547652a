"""A trip to the thread whose caller begins to wait when it is over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy import text

from async_layers import create_async_engine
from async_layers._eager import _go_on, _Rest
from async_layers.drivers._sqlite.trip import Trip
from tests.postgresql._tasks import becomes

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

BOUND = 5.0


async def test_trip_that_is_over_wakes_who_waits(tmp_path: Path) -> None:
    """The thread may be back before the task is made that waits for it."""
    engine = create_async_engine(f"sqlite:///{tmp_path / 'file.db'}")
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
        raw = await connection.get_raw_connection()
        adapter: Any = raw.dbapi_connection

        async def work() -> str:
            return await Trip(adapter._worker, lambda: "back")

        coroutine = work()
        trip = coroutine.send(None)
        assert await becomes(lambda: trip.over)
        rest = _go_on(_Rest(coroutine, trip))
        assert "back" == await asyncio.wait_for(rest, BOUND)
    await engine.dispose()
