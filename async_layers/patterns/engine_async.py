"""Facts of layer 1: the engine and its pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sqlalchemy import NullPool, StaticPool, event, func, insert, select, text
from sqlalchemy.exc import DBAPIError, DisconnectionError

from async_layers import SQLiteOptions, async_engine_scope, create_async_engine
from async_layers.patterns.tables import Account

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import URL, Pool, QueuePool
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.pool import ConnectionPoolEntry, PoolResetState
    from sqlalchemy.pool.base import _ConnectionRecord

# How long the server may take to end a connection, in milliseconds.
TIMEOUT = 5000

# Opening and closing


async def unused(url: URL) -> None:
    """An engine that nobody uses opens no connection."""
    async with async_engine_scope(url):
        pass


async def open_and_dispose(url: URL) -> int | None:
    """The first use of an engine connects; the end of its scope disconnects."""
    async with async_engine_scope(url) as engine, engine.connect() as connection:
        return await connection.scalar(select(func.count(Account.id)))


async def raise_in_scope(url: URL) -> None:
    """An exception that leaves the scope of an engine finds it disposed of."""
    async with async_engine_scope(url) as engine:
        async with engine.connect():
            pass
        raise LookupError


async def wait_for_server(url: URL) -> int:
    """A scope that waits begins when the server answers, however often it refused."""
    attempts = 0

    def refuse_once(*_: object) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise ConnectionRefusedError

    engine = create_async_engine(url)
    event.listen(engine.sync_engine, "do_connect", refuse_once)
    async with async_engine_scope(engine, wait=10.0):
        return attempts


async def dispose_and_go_on(engine: AsyncEngine) -> int | None:
    """Disposing closes what lies in the pool; the next use connects anew."""
    await engine.dispose()
    async with engine.connect() as connection:
        return await connection.scalar(select(func.count(Account.id)))


async def dispose_while_lent(engine: AsyncEngine) -> int | None:
    """Disposing leaves a connection that is lent to its user, who closes it."""
    async with engine.connect() as connection:
        await engine.dispose()
        count = await connection.scalar(select(func.count(Account.id)))
        await connection.rollback()
        await connection.invalidate()
        return count


async def dispose_without_close(url: URL) -> None:
    """Disposing without closing leaves idle connections to whoever else owns them."""
    async with async_engine_scope(url) as engine:
        async with engine.connect():
            pass
        # What a forked child inherits is its parent's to close.
        inherited = engine.pool
        await engine.dispose(close=False)
        async with engine.connect() as connection:
            await connection.run_sync(lambda _: inherited.dispose())


async def two_engines(url: URL) -> tuple[int, int]:
    """Two engines of one URL have two pools."""
    async with (
        async_engine_scope(url) as one,
        async_engine_scope(url) as other,
        one.connect(),
    ):
        return _lent(one.pool), _lent(other.pool)


def _lent(pool: Pool) -> int:
    return cast("QueuePool", pool).checkedout()


# Lending


async def same_connection(engine: AsyncEngine) -> str:
    """A connection that came back is lent again, with what is known of it."""
    async with engine.connect() as connection:
        connection.info["note"] = "from the first user"
    async with engine.connect() as connection:
        return str(connection.info["note"])


async def first_in_first_out(url: URL) -> str:
    """The pool lends the connection that has rested longest."""
    async with async_engine_scope(url) as engine:
        async with engine.connect() as first, engine.connect() as second:
            first.info["came back"] = "last"
            second.info["came back"] = "first"
        async with engine.connect() as connection:
            return str(connection.info["came back"])


async def last_in_first_out(url: URL) -> str:
    """A LIFO pool lends the connection that came back last, so that others grow old."""
    async with async_engine_scope(url, pool_use_lifo=True) as engine:
        async with engine.connect() as first, engine.connect() as second:
            first.info["came back"] = "last"
            second.info["came back"] = "first"
        async with engine.connect() as connection:
            return str(connection.info["came back"])


async def pool_numbers(url: URL) -> list[tuple[int, int, int]]:
    """The pool counts what it has lent, what rests, and how many exceed its size."""
    seen = list[tuple[int, int, int]]()
    async with async_engine_scope(url, pool_size=1, max_overflow=1) as engine:
        seen.append(_numbers(engine.pool))
        async with engine.connect():
            seen.append(_numbers(engine.pool))
            async with engine.connect():
                seen.append(_numbers(engine.pool))
        seen.append(_numbers(engine.pool))
    return seen


def _numbers(pool: Pool) -> tuple[int, int, int]:
    queue = cast("QueuePool", pool)
    return queue.checkedout(), queue.checkedin(), queue.overflow()


async def overflow(url: URL) -> str:
    """A connection that comes back to a full pool is closed."""
    async with async_engine_scope(url, pool_size=1, max_overflow=1) as engine:
        async with engine.connect() as first, engine.connect() as second:
            first.info["came back"] = "last"
            second.info["came back"] = "first"
        async with engine.connect() as connection:
            return str(connection.info["came back"])


async def exhausted(url: URL) -> None:
    """A pool that has lent all it may refuses after its timeout."""
    async with (
        async_engine_scope(
            url, pool_size=1, max_overflow=0, pool_timeout=0.05
        ) as engine,
        engine.connect(),
        engine.connect(),
    ):
        pass


async def recycle(url: URL) -> str | None:
    """A connection older than the pool allows is replaced when it is asked for."""

    def let_an_hour_pass(_: object, record: ConnectionPoolEntry) -> None:
        cast("_ConnectionRecord", record).starttime -= 3600

    async with async_engine_scope(url, pool_recycle=1800) as engine:
        event.listen(engine.pool, "checkin", let_an_hour_pass)
        async with engine.connect() as connection:
            connection.info["note"] = "from the first user"
        async with engine.connect() as connection:
            return connection.info.get("note")


async def null_pool(url: URL) -> None:
    """Without a pool, each use connects and disconnects."""
    async with async_engine_scope(url, poolclass=NullPool) as engine:
        async with engine.connect():
            pass
        async with engine.connect():
            pass


async def static_pool(url: URL) -> int | None:
    """In a StaticPool all share one transaction: one rolls back what another wrote."""
    async with async_engine_scope(url, poolclass=StaticPool) as engine:
        async with engine.connect() as writer:
            await writer.execute(insert(Account).values(id=3, owner="carl", balance=10))
            async with engine.connect() as reader:
                count = await reader.scalar(select(func.count(Account.id)))
            await writer.commit()
        return count


# Coming back


async def left_open(url: URL) -> None:
    """A connection rolls back before it goes to a pool, even one that would commit."""
    async with (
        async_engine_scope(url, pool_reset_on_return="commit") as engine,
        engine.connect() as connection,
    ):
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))


async def reset_is_told(engine: AsyncEngine) -> list[bool]:
    """The pool's reset is told whether the connection has rolled back already."""
    told = list[bool]()

    def note(_: object, __: object, state: PoolResetState) -> None:
        told.append(state.transaction_was_reset)

    event.listen(engine.pool, "reset", note)
    async with engine.connect() as connection:
        await connection.execute(select(Account.id))
    async with engine.connect() as connection:
        await connection.execute(select(Account.id))
        await connection.commit()
    return told


async def temporary_table(engine: AsyncEngine) -> int | None:
    """A reset is a rollback and no more: the next user finds the temporary tables."""
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TEMPORARY TABLE note (id INTEGER)"))
    async with engine.connect() as connection:
        return await connection.scalar(select(func.count()).select_from(text("note")))


async def invalidate(engine: AsyncEngine) -> str | None:
    """An invalidated connection is closed, and nobody is lent it again."""
    async with engine.connect() as connection:
        connection.info["note"] = "from the first user"
        await connection.invalidate()
    async with engine.connect() as connection:
        return connection.info.get("note")


async def invalidate_and_go_on(engine: AsyncEngine) -> int | None:
    """Whoever invalidates a connection gets another with the next statement."""
    async with engine.connect() as connection:
        await connection.invalidate()
        return await connection.scalar(select(func.count(Account.id)))


async def detach(engine: AsyncEngine) -> int:
    """A detached connection is no longer the pool's, and its user's to close."""
    async with engine.connect() as connection:
        pooled = await connection.get_raw_connection()
        driver = cast("Any", pooled.driver_connection)
        await connection.run_sync(lambda lent: lent.detach())
        lent = _lent(engine.pool)
    await driver.close()
    return lent


async def refuse_at_checkout(engine: AsyncEngine) -> str | None:
    """A listener that refuses a connection at checkout has it replaced."""
    async with engine.connect() as connection:
        connection.info["note"] = "from the first user"

    def refuse_noted(_: object, record: ConnectionPoolEntry, __: object) -> None:
        if record.info:
            raise DisconnectionError

    event.listen(engine.pool, "checkout", refuse_noted)
    async with engine.connect() as connection:
        return connection.info.get("note")


# A server that goes away, PostgreSQL's


async def pre_ping(url: URL) -> str | None:
    """With pre-ping, a connection that the server has ended is replaced unnoticed."""
    async with (
        async_engine_scope(url, pool_pre_ping=True) as engine,
        engine.connect() as other,
    ):
        async with engine.connect() as connection:
            connection.info["note"] = "from the first user"
            pid = await connection.scalar(select(func.pg_backend_pid()))
        await other.execute(select(func.pg_terminate_backend(pid, TIMEOUT)))
        async with engine.connect() as connection:
            return connection.info.get("note")


async def backend_ended(url: URL) -> None:
    """Without pre-ping, the first statement meets the end of its connection."""
    async with async_engine_scope(url) as engine, engine.connect() as other:
        async with engine.connect() as connection:
            pid = await connection.scalar(select(func.pg_backend_pid()))
        await other.execute(select(func.pg_terminate_backend(pid, TIMEOUT)))
        async with engine.connect() as connection:
            await connection.execute(select(Account.id))


async def pool_invalidated(url: URL) -> list[bool | str | None]:
    """A lost connection is known by its error, and all older ones are replaced."""
    async with async_engine_scope(url) as engine:
        async with engine.connect() as other:
            other.info["note"] = "from the first user"
            async with engine.connect() as connection:
                pid = await connection.scalar(select(func.pg_backend_pid()))
            await other.execute(select(func.pg_terminate_backend(pid, TIMEOUT)))
            seen = list[bool | str | None]()
            async with engine.connect() as connection:
                try:
                    await connection.execute(select(Account.id))
                except DBAPIError as error:
                    seen += [error.connection_invalidated, connection.invalidated]
        async with engine.connect() as one, engine.connect() as another:
            return [*seen, one.info.get("note"), another.info.get("note")]


# A server that does not let us in


async def no_such_database(url: URL) -> None:
    """A database that does not exist refuses when the engine first connects."""
    async with (
        async_engine_scope(url.set(database="no_such")) as engine,
        engine.connect(),
    ):
        pass


async def connection_refused(url: URL) -> None:
    """A port without a server refuses the connection."""
    async with (
        async_engine_scope(url.set(host="127.0.0.1", port=1)) as engine,
        engine.connect(),
    ):
        pass


# Telling an engine what to do, and hearing what it does


async def isolation_of_an_engine(engine: AsyncEngine) -> bool:
    """An engine in another isolation level has the connections of the first."""
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    async with autocommit.connect() as connection:
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
    async with engine.connect() as connection:
        await connection.execute(insert(Account).values(id=4, owner="dora", balance=20))
    return autocommit.pool is engine.pool


async def options_of_an_engine(engine: AsyncEngine) -> tuple[bool, bool]:
    """Execution options make another engine and leave the first as it was."""
    jobs = engine.execution_options(logging_token="jobs")  # noqa: S106 - no password
    options, more = engine.get_execution_options(), jobs.get_execution_options()
    return "logging_token" in options, "logging_token" in more


async def events_of_an_engine(engine: AsyncEngine) -> list[str]:
    """A listener on an engine hears its transactions."""
    heard = list[str]()
    event.listen(engine.sync_engine, "begin", lambda *_: heard.append("begin"))
    event.listen(engine.sync_engine, "commit", lambda *_: heard.append("commit"))
    event.listen(engine.sync_engine, "rollback", lambda *_: heard.append("rollback"))
    async with engine.begin() as connection:
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
    async with engine.connect() as connection:
        await connection.execute(select(Account.id))
    return heard


async def events_of_a_pool(url: URL) -> list[str]:
    """A listener on a pool hears of a connection's life, from connect to close."""
    heard = list[str]()
    async with async_engine_scope(url) as engine:
        event.listen(engine.pool, "connect", lambda *_: heard.append("connect"))
        event.listen(engine.pool, "checkout", lambda *_: heard.append("checkout"))
        event.listen(engine.pool, "reset", lambda *_: heard.append("reset"))
        event.listen(engine.pool, "checkin", lambda *_: heard.append("checkin"))
        event.listen(engine.pool, "close", lambda *_: heard.append("close"))
        async with engine.connect():
            heard.append("use")
    return heard


async def application_name(url: URL) -> str:
    """The server knows the application by the name that the engine gives it."""
    async with (
        async_engine_scope(url, application_name="ledger") as engine,
        engine.connect() as connection,
    ):
        return str(await connection.scalar(text("SHOW application_name")))


# What SQLite is told


async def sqlite_defaults(url: URL) -> list[str | int | None]:
    """SQLite enforces foreign keys, writes ahead, and waits five seconds for a lock."""
    asked = ("foreign_keys", "journal_mode", "busy_timeout")
    async with async_engine_scope(url) as engine, engine.connect() as connection:
        return [await connection.scalar(text(f"PRAGMA {name}")) for name in asked]


async def sqlite_options(url: URL) -> list[str | int | None]:
    """Options of an engine turn off what SQLite is told by default."""
    options = SQLiteOptions(
        foreign_keys=False, journal_mode="DELETE", busy_timeout=0.25
    )
    asked = ("foreign_keys", "journal_mode", "busy_timeout")
    async with (
        async_engine_scope(url, sqlite=options) as engine,
        engine.connect() as connection,
    ):
        return [await connection.scalar(text(f"PRAGMA {name}")) for name in asked]


async def sqlite_begin(url: URL) -> None:
    """Left to its driver, SQLite begins with the first write, and reads outside."""
    options = SQLiteOptions(begin=None)
    async with (
        async_engine_scope(url, sqlite=options) as engine,
        engine.begin() as connection,
    ):
        await connection.execute(select(Account.id))
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))


async def memory(url: URL) -> list[int | None]:
    """The connections of an engine share its memory, each in its own transaction."""
    count = text("SELECT count(*) FROM note")
    async with async_engine_scope(url.set(database=":memory:")) as engine:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE note (id INTEGER)"))
        async with engine.connect() as writer, engine.connect() as reader:
            seen = [await reader.scalar(count)]
            await writer.execute(text("INSERT INTO note VALUES (1)"))
            await reader.rollback()
            await writer.commit()
            seen.append(await reader.scalar(count))
    return seen


async def memory_of_another(url: URL) -> None:
    """A database in memory is its engine's alone."""
    memory_url = url.set(database=":memory:")
    async with (
        async_engine_scope(memory_url) as one,
        async_engine_scope(memory_url) as other,
    ):
        async with one.begin() as connection:
            await connection.execute(text("CREATE TABLE note (id INTEGER)"))
        async with other.connect() as connection:
            await connection.execute(text("SELECT count(*) FROM note"))
