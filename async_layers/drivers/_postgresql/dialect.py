"""What both PostgreSQL dialects refuse, where the two worlds would have to guess."""

from __future__ import annotations

import datetime as dt
from typing import Any, cast

from sqlalchemy import DateTime, TextClause
from sqlalchemy.exc import ArgumentError, InvalidRequestError
from sqlalchemy.orm import FromStatement
from sqlalchemy.sql.selectable import TextualSelect

from async_layers._postgresql import DEFAULTS, PostgreSQLOptions, require_options
from async_layers.drivers._postgresql import shape

_TEXTS = (TextClause, TextualSelect, FromStatement)


class RefusingDialect:
    """Refuse what an engine's options say, in either world."""

    options: PostgreSQLOptions

    def __init__(
        self, postgresql: PostgreSQLOptions = DEFAULTS, **arguments: Any
    ) -> None:
        """Take SQLAlchemy's arguments, and `postgresql`, what is refused."""
        super().__init__(**arguments)
        self.options = require_options(postgresql)


class RefusingContext:
    """Look at a text before it is executed."""

    compiled: Any
    cursor: Any
    isinsert: bool
    _rowcount: int | None
    dialect: Any
    statement: str

    def pre_exec(self) -> None:
        """Refuse a text that the engine's options refuse."""
        if (
            self.compiled is not None
            and isinstance(self.compiled.statement, _TEXTS)
            and not shape.is_plain(self.statement)
        ):
            try:
                _refuse(self.statement, self.dialect.options)
            except InvalidRequestError:
                self.cursor.close()  # psycopg warns of one on the server else
                raise
        super().pre_exec()  # type: ignore[misc]

    def post_exec(self) -> None:
        """Keep the number of inserted rows, which psycopg's cursor forgets."""
        super().post_exec()  # type: ignore[misc]
        if self.isinsert and self._rowcount is None:
            self._rowcount = self.cursor.rowcount


def _refuse(statement: str, options: PostgreSQLOptions) -> None:
    text = shape.shape_of(statement)
    if shape.copies(statement):
        raise InvalidRequestError(
            "text() is refused: seen COPY from or to the client, which is no statement "
            "to its driver; write insert_rows(), or the methods of driver_connection."
        )
    if options.refuse_transaction_control and text.control:
        raise InvalidRequestError(
            f"text() is refused: seen {text.control}, of which the transaction of the "
            "connection would know nothing; write begin(), commit() and rollback(), "
            "execution_options(isolation_level='AUTOCOMMIT') for what must stand "
            "outside of a transaction, or "
            "PostgreSQLOptions(refuse_transaction_control=False)."
        )
    if options.refuse_several_statements and len(text.heads) > 1:
        raise InvalidRequestError(
            f"text() is refused: seen {len(text.heads)} statements, of which only the "
            "blocking driver would return rows; execute one after the other, or write "
            "PostgreSQLOptions(refuse_several_statements=False)."
        )


class StrictDateTime(DateTime):
    """A datetime that is told its zone, where the engine's options want that."""

    render_bind_cast = True

    def bind_processor(self, dialect: Any) -> Any:
        """Refuse a datetime without a zone for a column with one."""
        options = cast("RefusingDialect", dialect).options
        if not (self.timezone and options.refuse_naive_datetimes):
            return None
        return refuse_naive


def refuse_naive(value: Any) -> Any:
    """Refuse a datetime without a zone."""
    if isinstance(value, dt.date) and getattr(value, "tzinfo", None) is None:
        raise ArgumentError(
            f"{value!r} is refused: seen no time zone, for a column with one; write "
            "value.replace(tzinfo=...), or "
            "PostgreSQLOptions(refuse_naive_datetimes=False)."
        )
    return value
