"""Facts of layer 1: the engine and its pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sqlalchemy import NullPool, StaticPool, event, func, insert, select, text
from sqlalchemy.exc import DBAPIError, DisconnectionError

from async_layers import SQLiteOptions, create_engine, engine_scope
from async_layers.patterns.tables import Account

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import URL, Engine, Pool, QueuePool
    from sqlalchemy.pool import ConnectionPoolEntry, PoolResetState
    from sqlalchemy.pool.base import _ConnectionRecord

# How long the server may take to end a connection, in milliseconds.
TIMEOUT = 5000

# Opening and closing


def unused(url: URL) -> None:
    """An engine that nobody uses opens no connection."""
    with engine_scope(url):
        pass


def open_and_dispose(url: URL) -> int | None:
    """The first use of an engine connects; the end of its scope disconnects."""
    with engine_scope(url) as engine, engine.connect() as connection:
        return connection.scalar(select(func.count(Account.id)))


def raise_in_scope(url: URL) -> None:
    """An exception that leaves the scope of an engine finds it disposed of."""
    with engine_scope(url) as engine:
        with engine.connect():
            pass
        raise LookupError


def wait_for_server(url: URL) -> int:
    """A scope that waits begins when the server answers, however often it refused."""
    attempts = 0

    def refuse_once(*_: object) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise ConnectionRefusedError

    engine = create_engine(url)
    event.listen(engine, "do_connect", refuse_once)
    with engine_scope(engine, wait=10.0):
        return attempts


def dispose_and_go_on(engine: Engine) -> int | None:
    """Disposing closes what lies in the pool; the next use connects anew."""
    engine.dispose()
    with engine.connect() as connection:
        return connection.scalar(select(func.count(Account.id)))


def dispose_while_lent(engine: Engine) -> int | None:
    """Disposing leaves a connection that is lent to its user, who closes it."""
    with engine.connect() as connection:
        engine.dispose()
        count = connection.scalar(select(func.count(Account.id)))
        connection.rollback()
        connection.invalidate()
        return count


def dispose_without_close(url: URL) -> None:
    """Disposing without closing leaves idle connections to whoever else owns them."""
    with engine_scope(url) as engine:
        with engine.connect():
            pass
        # What a forked child inherits is its parent's to close.
        inherited = engine.pool
        engine.dispose(close=False)
        with engine.connect():
            inherited.dispose()


def two_engines(url: URL) -> tuple[int, int]:
    """Two engines of one URL have two pools."""
    with engine_scope(url) as one, engine_scope(url) as other, one.connect():
        return _lent(one.pool), _lent(other.pool)


def _lent(pool: Pool) -> int:
    return cast("QueuePool", pool).checkedout()


# Lending


def same_connection(engine: Engine) -> str:
    """A connection that came back is lent again, with what is known of it."""
    with engine.connect() as connection:
        connection.info["note"] = "from the first user"
    with engine.connect() as connection:
        return str(connection.info["note"])


def first_in_first_out(url: URL) -> str:
    """The pool lends the connection that has rested longest."""
    with engine_scope(url) as engine:
        with engine.connect() as first, engine.connect() as second:
            first.info["came back"] = "last"
            second.info["came back"] = "first"
        with engine.connect() as connection:
            return str(connection.info["came back"])


def last_in_first_out(url: URL) -> str:
    """A LIFO pool lends the connection that came back last, so that others grow old."""
    with engine_scope(url, pool_use_lifo=True) as engine:
        with engine.connect() as first, engine.connect() as second:
            first.info["came back"] = "last"
            second.info["came back"] = "first"
        with engine.connect() as connection:
            return str(connection.info["came back"])


def pool_numbers(url: URL) -> list[tuple[int, int, int]]:
    """The pool counts what it has lent, what rests, and how many exceed its size."""
    seen = list[tuple[int, int, int]]()
    with engine_scope(url, pool_size=1, max_overflow=1) as engine:
        seen.append(_numbers(engine.pool))
        with engine.connect():
            seen.append(_numbers(engine.pool))
            with engine.connect():
                seen.append(_numbers(engine.pool))
        seen.append(_numbers(engine.pool))
    return seen


def _numbers(pool: Pool) -> tuple[int, int, int]:
    queue = cast("QueuePool", pool)
    return queue.checkedout(), queue.checkedin(), queue.overflow()


def overflow(url: URL) -> str:
    """A connection that comes back to a full pool is closed."""
    with engine_scope(url, pool_size=1, max_overflow=1) as engine:
        with engine.connect() as first, engine.connect() as second:
            first.info["came back"] = "last"
            second.info["came back"] = "first"
        with engine.connect() as connection:
            return str(connection.info["came back"])


def exhausted(url: URL) -> None:
    """A pool that has lent all it may refuses after its timeout."""
    with (
        engine_scope(url, pool_size=1, max_overflow=0, pool_timeout=0.05) as engine,
        engine.connect(),
        engine.connect(),
    ):
        pass


def recycle(url: URL) -> str | None:
    """A connection older than the pool allows is replaced when it is asked for."""

    def let_an_hour_pass(_: object, record: ConnectionPoolEntry) -> None:
        cast("_ConnectionRecord", record).starttime -= 3600

    with engine_scope(url, pool_recycle=1800) as engine:
        event.listen(engine.pool, "checkin", let_an_hour_pass)
        with engine.connect() as connection:
            connection.info["note"] = "from the first user"
        with engine.connect() as connection:
            return connection.info.get("note")


def null_pool(url: URL) -> None:
    """Without a pool, each use connects and disconnects."""
    with engine_scope(url, poolclass=NullPool) as engine:
        with engine.connect():
            pass
        with engine.connect():
            pass


def static_pool(url: URL) -> int | None:
    """In a StaticPool all share one transaction: one rolls back what another wrote."""
    with engine_scope(url, poolclass=StaticPool) as engine:
        with engine.connect() as writer:
            writer.execute(insert(Account).values(id=3, owner="carl", balance=10))
            with engine.connect() as reader:
                count = reader.scalar(select(func.count(Account.id)))
            writer.commit()
        return count


# Coming back


def left_open(url: URL) -> None:
    """A connection rolls back before it goes to a pool, even one that would commit."""
    with (
        engine_scope(url, pool_reset_on_return="commit") as engine,
        engine.connect() as connection,
    ):
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))


def reset_is_told(engine: Engine) -> list[bool]:
    """The pool's reset is told whether the connection has rolled back already."""
    told = list[bool]()

    def note(_: object, __: object, state: PoolResetState) -> None:
        told.append(state.transaction_was_reset)

    event.listen(engine.pool, "reset", note)
    with engine.connect() as connection:
        connection.execute(select(Account.id))
    with engine.connect() as connection:
        connection.execute(select(Account.id))
        connection.commit()
    return told


def temporary_table(engine: Engine) -> int | None:
    """A reset is a rollback and no more: the next user finds the temporary tables."""
    with engine.begin() as connection:
        connection.execute(text("CREATE TEMPORARY TABLE note (id INTEGER)"))
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(text("note")))


def invalidate(engine: Engine) -> str | None:
    """An invalidated connection is closed, and nobody is lent it again."""
    with engine.connect() as connection:
        connection.info["note"] = "from the first user"
        connection.invalidate()
    with engine.connect() as connection:
        return connection.info.get("note")


def invalidate_and_go_on(engine: Engine) -> int | None:
    """Whoever invalidates a connection gets another with the next statement."""
    with engine.connect() as connection:
        connection.invalidate()
        return connection.scalar(select(func.count(Account.id)))


def detach(engine: Engine) -> int:
    """A detached connection is no longer the pool's, and its user's to close."""
    with engine.connect() as connection:
        driver = cast("Any", connection.connection.driver_connection)
        connection.detach()
        lent = _lent(engine.pool)
    driver.close()
    return lent


def refuse_at_checkout(engine: Engine) -> str | None:
    """A listener that refuses a connection at checkout has it replaced."""
    with engine.connect() as connection:
        connection.info["note"] = "from the first user"

    def refuse_noted(_: object, record: ConnectionPoolEntry, __: object) -> None:
        if record.info:
            raise DisconnectionError

    event.listen(engine.pool, "checkout", refuse_noted)
    with engine.connect() as connection:
        return connection.info.get("note")


# A server that goes away, PostgreSQL's


def pre_ping(url: URL) -> str | None:
    """With pre-ping, a connection that the server has ended is replaced unnoticed."""
    with engine_scope(url, pool_pre_ping=True) as engine, engine.connect() as other:
        with engine.connect() as connection:
            connection.info["note"] = "from the first user"
            pid = connection.scalar(select(func.pg_backend_pid()))
        other.execute(select(func.pg_terminate_backend(pid, TIMEOUT)))
        with engine.connect() as connection:
            return connection.info.get("note")


def backend_ended(url: URL) -> None:
    """Without pre-ping, the first statement meets the end of its connection."""
    with engine_scope(url) as engine, engine.connect() as other:
        with engine.connect() as connection:
            pid = connection.scalar(select(func.pg_backend_pid()))
        other.execute(select(func.pg_terminate_backend(pid, TIMEOUT)))
        with engine.connect() as connection:
            connection.execute(select(Account.id))


def pool_invalidated(url: URL) -> list[bool | str | None]:
    """A lost connection is known by its error, and all older ones are replaced."""
    with engine_scope(url) as engine:
        with engine.connect() as other:
            other.info["note"] = "from the first user"
            with engine.connect() as connection:
                pid = connection.scalar(select(func.pg_backend_pid()))
            other.execute(select(func.pg_terminate_backend(pid, TIMEOUT)))
            seen = list[bool | str | None]()
            with engine.connect() as connection:
                try:
                    connection.execute(select(Account.id))
                except DBAPIError as error:
                    seen += [error.connection_invalidated, connection.invalidated]
        with engine.connect() as one, engine.connect() as another:
            return [*seen, one.info.get("note"), another.info.get("note")]


# A server that does not let us in


def no_such_database(url: URL) -> None:
    """A database that does not exist refuses when the engine first connects."""
    with engine_scope(url.set(database="no_such")) as engine, engine.connect():
        pass


def connection_refused(url: URL) -> None:
    """A port without a server refuses the connection."""
    with (
        engine_scope(url.set(host="127.0.0.1", port=1)) as engine,
        engine.connect(),
    ):
        pass


# Telling an engine what to do, and hearing what it does


def isolation_of_an_engine(engine: Engine) -> bool:
    """An engine in another isolation level has the connections of the first."""
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    with autocommit.connect() as connection:
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
    with engine.connect() as connection:
        connection.execute(insert(Account).values(id=4, owner="dora", balance=20))
    return autocommit.pool is engine.pool


def options_of_an_engine(engine: Engine) -> tuple[bool, bool]:
    """Execution options make another engine and leave the first as it was."""
    jobs = engine.execution_options(logging_token="jobs")  # noqa: S106 - no password
    options, more = engine.get_execution_options(), jobs.get_execution_options()
    return "logging_token" in options, "logging_token" in more


def events_of_an_engine(engine: Engine) -> list[str]:
    """A listener on an engine hears its transactions."""
    heard = list[str]()
    event.listen(engine, "begin", lambda *_: heard.append("begin"))
    event.listen(engine, "commit", lambda *_: heard.append("commit"))
    event.listen(engine, "rollback", lambda *_: heard.append("rollback"))
    with engine.begin() as connection:
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
    with engine.connect() as connection:
        connection.execute(select(Account.id))
    return heard


def events_of_a_pool(url: URL) -> list[str]:
    """A listener on a pool hears of a connection's life, from connect to close."""
    heard = list[str]()
    with engine_scope(url) as engine:
        event.listen(engine.pool, "connect", lambda *_: heard.append("connect"))
        event.listen(engine.pool, "checkout", lambda *_: heard.append("checkout"))
        event.listen(engine.pool, "reset", lambda *_: heard.append("reset"))
        event.listen(engine.pool, "checkin", lambda *_: heard.append("checkin"))
        event.listen(engine.pool, "close", lambda *_: heard.append("close"))
        with engine.connect():
            heard.append("use")
    return heard


def application_name(url: URL) -> str:
    """The server knows the application by the name that the engine gives it."""
    with (
        engine_scope(url, application_name="ledger") as engine,
        engine.connect() as connection,
    ):
        return str(connection.scalar(text("SHOW application_name")))


# What SQLite is told


def sqlite_defaults(url: URL) -> list[str | int | None]:
    """SQLite enforces foreign keys, writes ahead, and waits five seconds for a lock."""
    asked = ("foreign_keys", "journal_mode", "busy_timeout")
    with engine_scope(url) as engine, engine.connect() as connection:
        return [connection.scalar(text(f"PRAGMA {name}")) for name in asked]


def sqlite_options(url: URL) -> list[str | int | None]:
    """Options of an engine turn off what SQLite is told by default."""
    options = SQLiteOptions(
        foreign_keys=False, journal_mode="DELETE", busy_timeout=0.25
    )
    asked = ("foreign_keys", "journal_mode", "busy_timeout")
    with engine_scope(url, sqlite=options) as engine, engine.connect() as connection:
        return [connection.scalar(text(f"PRAGMA {name}")) for name in asked]


def sqlite_begin(url: URL) -> None:
    """Left to its driver, SQLite begins with the first write, and reads outside."""
    options = SQLiteOptions(begin=None)
    with engine_scope(url, sqlite=options) as engine, engine.begin() as connection:
        connection.execute(select(Account.id))
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))


def memory(url: URL) -> list[int | None]:
    """The connections of an engine share its memory, each in its own transaction."""
    count = text("SELECT count(*) FROM note")
    with engine_scope(url.set(database=":memory:")) as engine:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE note (id INTEGER)"))
        with engine.connect() as writer, engine.connect() as reader:
            seen = [reader.scalar(count)]
            writer.execute(text("INSERT INTO note VALUES (1)"))
            reader.rollback()
            writer.commit()
            seen.append(reader.scalar(count))
    return seen


def memory_of_another(url: URL) -> None:
    """A database in memory is its engine's alone."""
    memory_url = url.set(database=":memory:")
    with engine_scope(memory_url) as one, engine_scope(memory_url) as other:
        with one.begin() as connection:
            connection.execute(text("CREATE TABLE note (id INTEGER)"))
        with other.connect() as connection:
            connection.execute(text("SELECT count(*) FROM note"))
