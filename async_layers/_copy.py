"""Rows for a COPY of asyncpg's: which its codecs would change, and those as text.

Its binary COPY converts what it is given (a float loses its fraction, the last date
is the end of time); the text that psycopg sends is converted by PostgreSQL.
Source: https://www.postgresql.org/docs/current/sql-copy.html, "Text Format".
"""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import TYPE_CHECKING, cast

from sqlalchemy.exc import InvalidRequestError

from async_layers._rows import batches
from async_layers.drivers._postgresql.codecs import is_any_changed, is_multirange
from async_layers.drivers._postgresql.kinds import kind_of
from async_layers.drivers._postgresql.literals import literal, multirange

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from async_layers._rows import Asyncpg, Copy, Pooled

    Rows: TypeAlias = list[tuple[object, ...]]

_CHUNK = 1000  # rows, after which other tasks run and values are looked at
_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class Columns:
    """The columns of a COPY, known by the OIDs of their types."""

    def __init__(self, oids: Sequence[int]) -> None:
        self._oids = oids
        self._written = [multirange if is_multirange(oid) else literal for oid in oids]

    def are_sure(self, rows: Sequence[Sequence[object]]) -> bool:
        """Say whether asyncpg's codecs send these rows as they are."""
        columns = zip(self._oids, zip(*rows, strict=True), strict=True)
        return not any(is_any_changed(oid, list(values)) for oid, values in columns)

    def text_of(self, rows: Sequence[Sequence[object]]) -> bytes:
        """Return rows as lines of text, for PostgreSQL to read.

        Raises `TypeError` for a value that has no text.
        """
        for given in set(map(type, chain.from_iterable(rows))):
            if given is not type(None) and kind_of(given) is None:
                raise TypeError(
                    f"A row is refused: seen {given.__name__}, for which PostgreSQL "
                    "has no text; write a value that it has, or an insert()."
                )
        lines = [*map(self._line, rows), ""]
        return "\n".join(lines).encode()

    def _line(self, row: Sequence[object]) -> str:
        return "\t".join(
            "\\N" if value is None else write(value).translate(_ESCAPED)
            for write, value in zip(self._written, row, strict=True)
        )


async def copy_asyncpg(
    pooled: object, copy: Copy, rows: Iterable[Mapping[str, object]]
) -> int:
    """Copy rows into a table, all or none of them, and count them.

    What other tasks do on the connection waits, as for a statement. Raises
    `InvalidRequestError` where one of them has ended the transaction meanwhile.
    """
    lent = cast("Pooled", pooled)
    adapted = lent.dbapi_connection
    if adapted is None:
        raise _ended()
    async with adapted._execute_mutex:  # noqa: SLF001 - its cursors take it
        asyncpg = adapted.driver_connection
        if lent.dbapi_connection is None:
            raise _ended()
        if asyncpg.is_in_transaction():
            return await _copy(asyncpg, copy, rows)
        if not adapted.autocommit:
            raise _ended()
        async with asyncpg.transaction():
            return await _copy(asyncpg, copy, rows)


def _ended() -> InvalidRequestError:
    return InvalidRequestError(
        "A load is refused: seen a transaction that another task has ended meanwhile; "
        "use a connection for each task."
    )


async def _copy(
    asyncpg: Asyncpg, copy: Copy, rows: Iterable[Mapping[str, object]]
) -> int:
    """Copy rows in binary for as long as that is sure, and what is left as text."""
    statement = await asyncpg.prepare(copy.columns_asked)
    columns = Columns([each.type.oid for each in statement.get_attributes()])
    chunks = batches(copy.values(rows), _CHUNK)
    doubtful: list[Rows] = []
    done = await asyncpg.copy_records_to_table(
        copy.table,
        records=_sure(columns, chunks, doubtful),
        columns=copy.columns,
        schema_name=copy.schema,
    )
    count = int(done.removeprefix("COPY "))
    if doubtful:
        done = await asyncpg.copy_to_table(
            copy.table,
            source=_text(columns, chain(doubtful, chunks)),
            columns=copy.columns,
            schema_name=copy.schema,
        )
        count += int(done.removeprefix("COPY "))
    return count


async def _sure(
    columns: Columns, chunks: Iterator[Rows], doubtful: list[Rows]
) -> AsyncIterator[tuple[object, ...]]:
    """Yield rows up to some that asyncpg would change, which are kept.

    Other tasks run now and then; asyncpg takes records without a pause.
    """
    for rows in chunks:
        await asyncio.sleep(0)
        if not columns.are_sure(rows):
            doubtful.append(rows)
            return
        for row in rows:
            yield row


async def _text(columns: Columns, chunks: Iterable[Rows]) -> AsyncIterator[bytes]:
    """Yield rows as text, and let other tasks run now and then."""
    for rows in chunks:
        await asyncio.sleep(0)
        yield columns.text_of(rows)
