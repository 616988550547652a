"""The tables of an example, for the length of a block."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from async_layers import transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine, MetaData


@contextmanager
def tables(engine: Engine, metadata: MetaData) -> Iterator[None]:
    """Create the tables, and drop them on every way out.

    A table that exists already is an error, and stays: it may be yours.
    """
    with transaction(engine) as connection:
        metadata.create_all(connection, checkfirst=False)
    try:
        yield
    finally:
        with transaction(engine) as connection:
            metadata.drop_all(connection)
