"""PostgreSQL on psycopg: `postgresql+async_layers://` in the blocking world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import DateTime
from sqlalchemy.dialects.postgresql.psycopg import (
    PGDialect_psycopg,
    PGExecutionContext_psycopg,
)

from async_layers.drivers._postgresql.dialect import (
    RefusingContext,
    RefusingDialect,
    StrictDateTime,
)

if TYPE_CHECKING:
    from sqlalchemy import URL

# The server ends the connection after an error of these severities.
_LAST = frozenset({"FATAL", "PANIC"})


class PostgreSQLExecutionContext(RefusingContext, PGExecutionContext_psycopg):
    """One execution, refused where the worlds would have to guess."""


class PostgreSQLDialect(RefusingDialect, PGDialect_psycopg):
    """PostgreSQL whose two worlds have the same transactions, types and errors."""

    supports_statement_cache = True
    execution_ctx_cls = PostgreSQLExecutionContext
    colspecs = {**PGDialect_psycopg.colspecs, DateTime: StrictDateTime}  # noqa: RUF012

    @classmethod
    def get_async_dialect_cls(cls, url: URL) -> Any:
        """Return the asyncio dialect that the same URL means there."""
        del url
        from async_layers.drivers.postgresql_async import (  # noqa: PLC0415 - asyncpg
            AsyncPostgreSQLDialect,
        )

        return AsyncPostgreSQLDialect

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Say whether a connection is lost: the server's last words tell it, too.

        Between them and the end of the socket libpq still takes the connection for a
        good one.
        """
        diag = getattr(e, "diag", None)
        severity = getattr(diag, "severity_nonlocalized", None)
        if severity in _LAST:
            return True
        lost: bool = super().is_disconnect(e, connection, cursor)  # type: ignore[no-untyped-call]
        return lost
