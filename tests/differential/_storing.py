"""A value on its way into a column, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Integer, MetaData, Table, select

from tests.differential._ground import do, run

if TYPE_CHECKING:
    from tests.differential._ground import Ground


def store(ground: Ground, type_: Any, value: Any) -> object:
    """Insert a value into a column of its type, see what others see, read it back."""
    table = Table("v", MetaData(), Column("id", Integer), Column("x", type_))
    kind = type_.compile(dialect=ground.engine.dialect)
    ground.observe(
        f"CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE v (id int, x {kind})"
    )
    with ground.engine.connect() as connection:
        given = {"id": 1, "x": value}
        told = ground.attempt(do, connection, table.insert(), given)
        # What the error did to the transaction shows in what is kept.
        after = ground.attempt(lambda: run(connection, "INSERT INTO v VALUES (2)"))
        connection.commit()
        read = ground.attempt(
            lambda: connection.execute(select(table.c.x).where(table.c.id == 1)).all()
        )
        return [told, after, read]
