"""What waits for a server, and what is done to it when the time is over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from async_layers._layers.deadline.cut import cut
from async_layers._layers.deadline.stop import interrupt, stop, stop_async

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from sqlalchemy import Pool
    from sqlalchemy.pool import ManagesConnection

# An interrupt of SQLite that comes between two statements has no effect.
_AGAIN = 0.02  # seconds


class Operation:
    """Something that waits for a server, with the times of what is done about it.

    `part` and `words` say what it is. `held` is the connection that it waits on.
    `asked`: the server was asked to stop. `is_cut`: its link was cut. `unheard`: nobody
    knows whether the server will hear it, or when.
    """

    def __init__(
        self, part: str, pool: Pool, *, ask: float | None, cut: float | None
    ) -> None:
        self.part = part
        self.words = ""
        self.held: ManagesConnection | None = None
        self.asked = self.is_cut = self.unheard = False
        self._pool = pool
        self._ask = ask
        self._cut = cut

    @property
    def next(self) -> float | None:
        """When something is to be done, by `time.monotonic()`; None for never."""
        return self._cut if self._ask is None else self._ask

    def act(self) -> Coroutine[None, None, None] | None:
        """Ask the server to stop, or cut it off; under asyncio asking goes on."""
        if self._ask is None:
            self._cut = None
            self.cut_off()
            return None
        self.asked = True
        dialect = self._pool._dialect  # noqa: SLF001 - no public name
        if getattr(dialect, "name", "") == "sqlite":
            self._ask = time.monotonic() + _AGAIN
            interrupt(self.held)
            return None
        self._ask = None
        if dialect.is_async:
            return self._stop_async()
        self.unheard = not (self.held is not None and stop(self.held))
        return None

    def cut_off(self) -> None:
        """Cut the link; whoever waits goes on with an error."""
        self.is_cut = True
        if self.held is not None:
            cut(self.held)

    async def _stop_async(self) -> None:
        self.unheard = True
        held = self.held
        self.unheard = not (held is not None and await stop_async(held, self._pool))
