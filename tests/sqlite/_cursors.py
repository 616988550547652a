"""A cursor as PEP 249 has it, and a parameter that it cannot have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Refusing:
    """A parameter that SQLite cannot be told."""

    def __conform__(self, protocol: object) -> object:
        """Raise what ends an iteration."""
        del protocol
        raise StopIteration("refused")


def cursor_of(connection: Connection, batch: int | None = None) -> Any:
    """Return a cursor of the dialect, one that streams where a batch is given."""
    dialect: Any = connection.dialect
    driver = connection.connection.dbapi_connection
    if batch is None:
        return dialect.new_cursor(driver)
    return dialect.new_stream_cursor(driver, batch)
