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

# PQTRANS_ACTIVE and PQ_PIPELINE_OFF of libpq-fe.h.
_ACTIVE, _OFF = 1, 0


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
        good one. So it does where psycopg has given up waiting for an answer, because
        the socket was closed under it: no other statement could be sent.
        """
        diag = getattr(e, "diag", None)
        severity = getattr(diag, "severity_nonlocalized", None)
        if severity in _LAST or (
            severity is None and self._is_unanswered(e, connection)
        ):
            return True
        lost: bool = super().is_disconnect(e, connection, cursor)  # type: ignore[no-untyped-call]
        return lost

    def _is_unanswered(self, error: Any, connection: Any) -> bool:
        """Say whether an error of libpq has left a statement without its answer."""
        link = getattr(connection, "pgconn", None)
        return (
            link is not None
            and link.transaction_status == _ACTIVE
            and link.pipeline_status == _OFF
            and isinstance(error, self.loaded_dbapi.OperationalError)
        )
