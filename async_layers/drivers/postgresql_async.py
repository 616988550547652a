"""PostgreSQL on asyncpg: `postgresql+async_layers://` in the asyncio world."""

from __future__ import annotations

from sqlalchemy import DateTime

from async_layers.drivers._postgresql.adapted import AdaptedContext, AdaptedDialect
from async_layers.drivers._postgresql.dialect import (
    RefusingContext,
    RefusingDialect,
    StrictDateTime,
)


class AsyncPostgreSQLExecutionContext(RefusingContext, AdaptedContext):
    """One execution, refused where the worlds would have to guess."""


class AsyncPostgreSQLDialect(RefusingDialect, AdaptedDialect):
    """PostgreSQL whose two worlds have the same transactions, types and errors."""

    supports_statement_cache = True
    execution_ctx_cls = AsyncPostgreSQLExecutionContext
    colspecs = {**AdaptedDialect.colspecs, DateTime: StrictDateTime}  # noqa: RUF012
