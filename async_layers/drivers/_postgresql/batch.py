"""Many rows in one batch, however their values differ."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from async_layers.drivers._postgresql import errors, shape
from async_layers.drivers._postgresql.cursor import (
    PostgreSQLCursor,
    cast_text,
    refuse,
)
from async_layers.drivers._postgresql.plan import column_casts
from async_layers.drivers._postgresql.untyped import asyncpg

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import ParamSpec

    from async_layers.drivers._postgresql.plan import Plan
    from async_layers.drivers._postgresql.rows import Row

    P = ParamSpec("P")


class BatchCursor(PostgreSQLCursor):
    """A cursor that executes a statement for many rows too, and counts them."""

    __slots__ = ()

    def executemany(self, operation: str, seq_of_parameters: Any) -> None:
        """Execute a statement for each row of parameters, in one batch."""
        self._adapt_connection.run(self._execute_all, operation, seq_of_parameters)

    async def _execute_all(self, operation: str, rows: Sequence[Row]) -> None:
        self.require_lent()
        self._description = None
        await self._adapt_connection.begin()
        try:
            types = column_casts(shape.untyped(operation), rows)
            text = cast_text(operation, types)
            plan = await self._plan(text)
            any_wrong = plan.any_wrong(rows)
        except LookupError as error:
            raise errors.refused(
                "Rows are refused: seen one with fewer values than the statement has "
                "parameters, or a dict; write a tuple of them all.",
                "ProgrammingError",
            ) from error
        if any_wrong:
            self._rowcount = await self._atomic(
                self._send_groups, operation, types, plan, rows
            )
        else:
            self._rowcount = await self._send_rows(text, plan, rows)

    async def _send_rows(self, text: str, plan: Plan, rows: Sequence[Row]) -> int:
        """Send rows in one batch; return how many rows of the table they changed."""
        wire = self._adapt_connection.wire
        counter = wire.count()
        try:
            await plan.statement.executemany(rows)
        except (asyncpg.DataError, asyncpg.InterfaceError) as error:
            if not errors.is_unsent(error):
                raise
        else:
            return counter.rows
        finally:
            wire.done()
        # asyncpg refuses a row in the midst of a batch, of which some are done. In
        # autocommit the batch was a transaction, and none is.
        done = counter.statements if self._adapt_connection.in_transaction() else 0
        rest = await self._atomic(self._send_singly, text, rows[done:])
        return (counter.rows if done else 0) + rest

    async def _send_singly(self, text: str, rows: Sequence[Row]) -> int:
        """Send row after row, so that PostgreSQL refuses what asyncpg does not send."""
        changed = 0
        for row in rows:
            await self._execute_prepared(text, row)
            changed += max(self._rowcount, 0)
        self._description, self._rows = None, []
        return changed

    async def _send_groups(
        self, operation: str, types: dict[int, str], plan: Plan, rows: Sequence[Row]
    ) -> int:
        """Send rows whose values have the same types in one batch, in their order."""
        changed = 0
        typed = (_row_casts(plan, row) for row in rows)
        for casts, group in groupby(typed, key=itemgetter(0)):
            text = cast_text(operation, types | dict(casts))
            sent = [row for _, row in group]
            changed += await self._send_rows(text, await self._plan(text), sent)
        return changed

    async def _atomic(
        self,
        work: Callable[P, Coroutine[Any, Any, int]],
        /,
        *arguments: P.args,
        **named: P.kwargs,
    ) -> int:
        """Do all of it or nothing, as one batch is done in autocommit too."""
        adapter = self._adapt_connection
        if adapter.in_transaction():
            return await work(*arguments, **named)
        await adapter.driver.execute("BEGIN")
        try:
            changed = await work(*arguments, **named)
        except Exception:  # what is cancelled is given up, with the connection
            if not adapter.driver.is_closed():
                await adapter.end("ROLLBACK")
            raise
        await adapter.end("COMMIT")
        return changed


def _row_casts(plan: Plan, row: Row) -> tuple[tuple[tuple[int, str], ...], Row]:
    wrong = plan.wrong(row)
    refuse(row, wrong)
    casts, sent = plan.casts(wrong, row)
    return tuple(casts.items()), sent
