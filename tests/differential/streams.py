"""Results that stay on the server."""
# ruff: noqa: D401 - a scenario says what is, it orders nothing

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from tests.differential._catalogue import cases
from tests.differential._ground import ITEM, add, rows, run

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tests.differential._ground import Ground

_MANY = text("SELECT x FROM generate_series(1, 1000) x")
_FAILS = text("SELECT 1 / (300 - x) FROM generate_series(1, 1000) x")


def _streaming(connection: Connection) -> Connection:
    return connection.execution_options(stream_results=True)


def all_rows(ground: Ground) -> object:
    """A stream gives all rows."""
    with ground.engine.connect() as connection:
        return len(_streaming(connection).execute(_MANY).all())


def in_parts(ground: Ground) -> object:
    """fetchone, fetchmany, partitions and yield_per on a stream."""
    with ground.engine.connect() as connection:
        result = _streaming(connection).execute(_MANY)
        told: list[Any] = [result.fetchone(), result.fetchmany(3)]
        told += [len(part) for part in result.yield_per(300).partitions()]
        return [*told, result.closed]


def nothing(ground: Ground) -> object:
    """A stream of no rows."""
    with ground.engine.connect() as connection:
        sql = text("SELECT * FROM item WHERE false")
        return _streaming(connection).execute(sql).all()


def with_parameters(ground: Ground) -> object:
    """A stream with parameters."""
    with ground.engine.connect() as connection:
        asked = select(ITEM.c.id).where(ITEM.c.id > 1).order_by(ITEM.c.id)
        return _streaming(connection).execute(asked).all()


def counted(ground: Ground) -> object:
    """The count and the names of a stream."""
    with ground.engine.connect() as connection:
        result: Any = _streaming(connection).execute(text("SELECT id FROM item"))
        return [result.rowcount, list(result.keys()), len(result.all())]


def a_statement_between(ground: Ground) -> object:
    """Another statement runs while a stream is read."""
    with ground.engine.connect() as connection:
        sql = text("SELECT x FROM generate_series(1, 1000) x")
        result = connection.execute(
            sql, execution_options={"stream_results": True, "max_row_buffer": 10}
        )
        first = result.fetchmany(5)
        add(connection, 4)
        return [first, len(result.all()), rows(connection, "SELECT count(*) FROM item")]


def two_at_once(ground: Ground) -> object:
    """Two streams on one connection."""
    with ground.engine.connect() as connection:
        one, two = (_streaming(connection).execute(_MANY) for _ in range(2))
        return [one.fetchmany(3), two.fetchmany(2), len(one.all()), len(two.all())]


def given_up(ground: Ground) -> object:
    """A stream that is not read to its end is closed."""
    with ground.engine.connect() as connection:
        result = _streaming(connection).execute(_MANY)
        result.fetchone()
        result.close()
        return [ground.attempt(result.fetchone), rows(connection, "SELECT 1")]


def read_after_commit(ground: Ground) -> object:
    """commit() takes the server's rows away."""
    with ground.engine.connect() as connection:
        result = _streaming(connection).execute(_MANY)
        result.fetchone()
        connection.commit()
        told = ground.attempt(lambda: len(result.all()))
        ground.attempt(connection.rollback)
        return [told, rows(connection, "SELECT 1")]


def read_after_rollback(ground: Ground) -> object:
    """rollback() takes the server's rows away."""
    with ground.engine.connect() as connection:
        result = _streaming(connection).execute(_MANY)
        result.fetchone()
        connection.rollback()
        told = ground.attempt(lambda: len(result.all()))
        ground.attempt(connection.rollback)
        return [told, rows(connection, "SELECT 1")]


def read_after_close(ground: Ground) -> object:
    """Rows of a connection that was closed."""
    with ground.engine.connect() as connection:
        result = _streaming(connection).execute(_MANY)
        result.fetchone()
    return ground.attempt(lambda: len(result.all()))


def fails_at_first(ground: Ground) -> object:
    """A stream of a statement that is wrong."""
    with ground.engine.connect() as connection:
        sql = text("SELECT nothing FROM item")
        told = ground.attempt(lambda: _streaming(connection).execute(sql).all())
        return [told, ground.attempt(rows, connection, "SELECT 1")]


def fails_in_the_middle(ground: Ground) -> object:
    """An error while rows are read is an error of SQLAlchemy."""
    with ground.engine.connect() as connection:
        told = ground.attempt(lambda: _streaming(connection).execute(_FAILS).all())
        after = ground.attempt(rows, connection, "SELECT 1")
        connection.rollback()
        return [told, after, rows(connection, "SELECT 1")]


def backend_ended_in_the_middle(ground: Ground) -> object:
    """A backend that ends while rows are read takes the connection along."""
    with ground.engine.connect() as connection:
        result = connection.execute(
            _MANY, execution_options={"stream_results": True, "max_row_buffer": 10}
        )
        result.fetchone()
        ground.kill(connection)
        told = ground.attempt(lambda: len(result.all()))
        after = [connection.invalidated, ground.attempt(connection.rollback)]
        return [told, after, ground.attempt(rows, connection, "SELECT 1")]


@cases("insert", "update", "delete")
def of_returning(ground: Ground, verb: str) -> object:
    """What changes rows cannot be declared as a cursor."""
    statement: Any = {
        "insert": insert(ITEM).values(id=4).returning(ITEM.c.id),
        "update": ITEM.update().values(n=0).returning(ITEM.c.id),
        "delete": ITEM.delete().returning(ITEM.c.id),
    }[verb]
    with ground.engine.begin() as connection:
        return ground.attempt(lambda: _streaming(connection).execute(statement).all())


def of_no_rows(ground: Ground) -> object:
    """A stream of a statement that returns nothing."""
    with ground.engine.begin() as connection:
        sql = text("UPDATE item SET n = 0")
        return ground.attempt(lambda: _streaming(connection).execute(sql) and None)


def in_a_session(ground: Ground) -> object:
    """A session's stream."""
    with Session(ground.engine) as session:
        found = session.scalars(_MANY, execution_options={"yield_per": 100})
        return sum(found)


async def in_a_session_async(ground: Ground) -> object:
    """A session's stream."""
    async with AsyncSession(ground.async_engine) as session:
        found = await session.stream_scalars(
            _MANY, execution_options={"yield_per": 100}
        )
        return sum([each async for each in found])


def left_by_an_exception(ground: Ground) -> object:
    """An exception that leaves the block closes the result."""
    with ground.engine.connect() as connection:
        streamed = list[Any]()
        told = ground.attempt(lambda: _leave(_streaming(connection), streamed))
        return [told, streamed[0].closed, rows(connection, "SELECT 1")]


def _leave(connection: Connection, streamed: list[Any]) -> None:
    with connection.execute(_MANY) as result:
        streamed.append(result)
        raise KeyError("mine")


async def left_by_an_exception_async(ground: Ground) -> object:
    """An exception that leaves the block closes the result."""
    async with ground.async_engine.connect() as connection:
        streamed = list[Any]()

        async def leave() -> None:
            async with connection.stream(_MANY) as result:
                streamed.append(result)
                raise KeyError("mine")

        told = await ground.attempt_async(leave())
        one = await connection.execute(text("SELECT 1"))
        return [told, streamed[0].closed, [tuple(row) for row in one]]


def of_the_connection(ground: Ground) -> object:
    """stream_results and execute(), where the method is the connection's own."""
    options = {"stream_results": True}
    with ground.engine.connect() as connection:
        return ground.attempt(
            lambda: len(connection.execute(_MANY, execution_options=options).all())
        )


async def of_the_connection_async(ground: Ground) -> object:
    """stream_results and execute(), where the method is the connection's own."""
    options = {"stream_results": True}
    async with ground.async_engine.connect() as connection:

        async def count() -> int:
            result = await connection.execute(_MANY, execution_options=options)
            return len(result.all())

        return await ground.attempt_async(count())


@cases("COMMIT", "ROLLBACK")
def ended_by_hand(ground: Ground, end: str) -> object:
    """A COMMIT by hand takes the server's rows away."""
    with ground.engine.connect() as connection:
        result = connection.execute(
            _MANY, execution_options={"stream_results": True, "max_row_buffer": 10}
        )
        result.fetchone()
        connection.exec_driver_sql(end)
        return ground.attempt(lambda: len(result.all()))


def with_hold(ground: Ground) -> object:
    """A cursor by hand outlives its transaction."""
    with ground.engine.connect() as connection:
        run(connection, "DECLARE c CURSOR WITH HOLD FOR SELECT id FROM item ORDER BY 1")
        connection.commit()
        return rows(connection, "FETCH 2 FROM c")
