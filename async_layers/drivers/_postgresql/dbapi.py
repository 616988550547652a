"""asyncpg as a module of PEP 249."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import ArgumentError
from sqlalchemy.util.concurrency import await_

from async_layers.drivers._postgresql.adapter import AsyncAdaptPostgreSQLConnection
from async_layers.drivers._postgresql.untyped import asyncpg


class AsyncPostgreSQLDBAPI(AsyncAdapt_asyncpg_dbapi):
    """The module of PEP 249, on asyncpg."""

    def Binary(self, value: Any) -> Any:  # noqa: N802 - PEP 249's name
        """Return bytes for a column of bytes; a text, or a number, is none."""
        try:
            memoryview(value)
        except TypeError:
            raise TypeError(
                f"{value!r} is refused: seen no bytes; write bytes."
            ) from None
        return value

    def connect(self, *arguments: Any, **named: Any) -> AsyncAdaptPostgreSQLConnection:
        """Open a connection."""
        creator = named.pop("async_creator_fn", asyncpg.connect)
        own = {
            "prepared_statement_cache_size": named.pop(
                "prepared_statement_cache_size", 100
            ),
            "prepared_statement_name_func": named.pop(
                "prepared_statement_name_func", None
            ),
        }
        try:
            opening = creator(*arguments, **named)
        except TypeError as error:
            raise ArgumentError(
                f"An argument is refused: seen {error}; write asyncpg's own, such as "
                "timeout for connect_timeout and server_settings for options."
            ) from error
        return await_(AsyncAdaptPostgreSQLConnection.create(self, opening, **own))
