"""Engines and connections of odd kinds have an outcome, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from async_layers import (
    Outcome,
    async_transaction,
    create_async_engine,
    engine_scope,
    transaction,
)

if TYPE_CHECKING:
    from async_layers._proof.scratch import Scratch

ONE = text("SELECT 1")
DOUBTFUL = """
CREATE FUNCTION doubt() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'nobody knows' USING ERRCODE = '40003'; END $$;
CREATE CONSTRAINT TRIGGER doubtful AFTER INSERT ON account
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION doubt()
"""


class Named(Engine):
    """An engine of a user's own class."""

    def named(self) -> str:
        """Return its name."""
        return "named"


def test_option_of_a_stock_engine_has_an_outcome() -> None:
    """An engine with options is SQLAlchemy's other class."""
    engine = sqlalchemy.create_engine("sqlite+pysqlite://")
    scope = transaction(engine.execution_options(stream_results=False))
    with scope as connection:
        connection.execute(ONE)
    assert scope.outcome is Outcome.COMMITTED
    engine.dispose()


def test_engine_of_the_users_class_keeps_its_methods() -> None:
    """Its connections are ours, and the rest is what it was."""
    engine: Any = sqlalchemy.create_engine("sqlite+pysqlite://")
    engine.__class__ = Named
    scope = transaction(engine)
    with scope as connection:
        connection.execute(ONE)
    assert (Outcome.COMMITTED, "named") == (scope.outcome, engine.named())
    engine.dispose()


def test_server_that_does_not_know_is_believed(asyncpg_place: Scratch) -> None:
    """SQLSTATE 40003 at COMMIT is an answer that says nothing."""
    asyncpg_place.fresh()
    with engine_scope(asyncpg_place.urls["sync"]) as engine:
        with engine.connect() as connection:
            for statement in DOUBTFUL.split(";\n"):
                connection.exec_driver_sql(statement)
            connection.commit()
        scope = transaction(engine)
        with pytest.raises(DBAPIError), scope as connection:
            connection.execute(text("INSERT INTO account VALUES (3, 'carl', 10)"))
    assert scope.outcome is Outcome.UNKNOWN


async def test_connection_that_is_lost_is_not_cut(sqlite_url: str) -> None:
    """Who gives a COMMIT up may find its connection gone already."""
    engine = create_async_engine(sqlite_url)
    async with async_transaction(engine) as connection:
        await connection.execute(ONE)
        await connection.invalidate()
        sync: Any = connection.sync_connection
        assert sync._cut() is None
        await connection.rollback()
    await engine.dispose()
