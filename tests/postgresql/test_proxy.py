"""The proxy that other tests count with, and make faults with, does what it says."""

from __future__ import annotations

import asyncio
import struct
from importlib import import_module
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.postgresql._frames import Frames, is_commit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.postgresql._proxy import Proxy

ASYNCPG: Any = import_module("asyncpg")  # it has no types


async def connect(url: str) -> Any:
    """Open a connection of asyncpg."""
    return await ASYNCPG.connect(url)


@pytest.fixture
async def connection(proxy: Proxy) -> AsyncIterator[Any]:
    """Return a connection of asyncpg through the proxy."""
    connection = await connect(proxy.url)
    yield connection
    connection.terminate()


def test_blocking_client_is_counted(proxy: Proxy) -> None:
    """Startup and each statement are a round trip of psycopg."""
    with proxy.counting() as traffic, psycopg.connect(proxy.url) as connection:
        connection.execute("SELECT 1")
    assert 5 == traffic.round_trips
    assert ["BEGIN", "SELECT 1", "COMMIT"] == traffic.statements
    messages = ["SSLRequest", "Startup", "Query", "Query", "Query", "Terminate"]
    assert messages == traffic.messages


async def test_prepared_statement_is_known_by_its_text(
    connection: Any, proxy: Proxy
) -> None:
    """What a Bind runs is told by the text that was parsed."""
    statement = await connection.prepare("SELECT $1::int")
    with proxy.counting() as traffic:
        await statement.fetch(1)
        await statement.fetch(2)
    assert (2, []) == (traffic.round_trips, traffic.prepared)
    assert [("SELECT $1::int", 2)] == traffic.runs()


def test_pipeline_is_one_round_trip(proxy: Proxy) -> None:
    """What is asked before the last answer came belongs to the same trip."""
    with psycopg.connect(proxy.url, autocommit=True) as connection:
        cursor = connection.cursor()
        with proxy.counting() as traffic:
            cursor.executemany("SELECT %s::int", [(1,), (2,), (3,)])
    assert 1 == traffic.round_trips
    assert [("SELECT $1::int", 3)] == traffic.runs()


def test_copy_is_one_round_trip(proxy: Proxy) -> None:
    """From the question to the end of the rows is one trip, as many as they are."""
    with psycopg.connect(proxy.url, autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE copied (id int)")
        with proxy.counting() as traffic:
            with connection.cursor().copy("COPY copied FROM STDIN") as copy:
                copy.write_row((1,))
            connection.execute("SELECT 1")
    assert (2, ["COPY copied FROM STDIN", "SELECT 1"]) == (
        traffic.round_trips,
        traffic.statements,
    )


async def test_nothing_is_counted_outside_of_the_block(
    connection: Any, proxy: Proxy
) -> None:
    """A count ends with its block."""
    with proxy.counting() as traffic:
        await connection.execute("SELECT 1")
    await connection.execute("SELECT 2")
    assert ["SELECT 1"] == traffic.statements


async def test_cut_loses_the_answer(
    connection: Any, proxy: Proxy, schema: str, observer: psycopg.Connection[Any]
) -> None:
    """The statement is done, and the client sees no answer."""
    proxy.cut(after=0)
    create = connection.execute(f'CREATE TABLE "{schema}".made (id int)')
    with pytest.raises(ASYNCPG.ConnectionDoesNotExistError):
        await asyncio.wait_for(create, 5)
    made = observer.execute("SELECT to_regclass(%s) IS NOT NULL", [f"{schema}.made"])
    assert (True,) == made.fetchone()


async def test_cut_loses_the_request(connection: Any, proxy: Proxy) -> None:
    """A request that is cut is not answered, and the connection is gone."""
    proxy.cut(after=0, of="client")
    with pytest.raises(ASYNCPG.ConnectionDoesNotExistError):
        await asyncio.wait_for(connection.execute("SELECT 1"), 5)
    assert 0 == proxy.connections


@pytest.mark.parametrize("reset", [False, True])
async def test_drop_ends_all_connections(
    connection: Any, proxy: Proxy, *, reset: bool
) -> None:
    """An idle connection is ended, by FIN or by RST; the next one lives."""
    assert 1 == proxy.connections
    proxy.drop(reset=reset)
    assert 0 == proxy.connections
    with pytest.raises((ASYNCPG.ConnectionDoesNotExistError, OSError)):
        await asyncio.wait_for(connection.execute("SELECT 1"), 5)
    again = await connect(proxy.url)
    assert 1 == await again.fetchval("SELECT 1")
    await again.close()


async def test_reset_is_an_rst(connection: Any, proxy: Proxy) -> None:
    """An answer that is cut by an RST is an error of the socket."""
    proxy.cut(after=0, reset=True)
    with pytest.raises(ASYNCPG.ConnectionDoesNotExistError) as caught:
        await asyncio.wait_for(connection.execute("SELECT 1"), 5)
    assert isinstance(caught.value.__cause__, ConnectionResetError)


async def test_refused_connection_is_taken_after_heal(proxy: Proxy) -> None:
    """Nobody listens until the proxy is healed, and then at the same port."""
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await connect(proxy.url)
    proxy.heal()
    connection = await connect(proxy.url)
    await connection.close()


async def test_black_hole_holds_what_heal_lets_travel(
    connection: Any, proxy: Proxy
) -> None:
    """Nothing is answered and nothing is closed until the proxy is healed."""
    proxy.black_hole()
    asking = asyncio.ensure_future(connection.fetchval("SELECT 1"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(asking), 0.05)
    proxy.heal()
    assert 1 == await asyncio.wait_for(asking, 5)


async def test_a_cut_between_messages_lets_so_many_arrive(
    connection: Any, proxy: Proxy
) -> None:
    """Of CommandComplete and ReadyForQuery the first arrives: not known to be done."""
    proxy.cut_messages(1)
    with pytest.raises(ASYNCPG.ConnectionDoesNotExistError):
        await asyncio.wait_for(connection.execute("SELECT 1"), 5)
    assert proxy.happens()
    assert 0 == proxy.connections


async def test_a_cut_waits_for_a_commit(connection: Any, proxy: Proxy) -> None:
    """What comes before a COMMIT passes, whoever sends it."""
    proxy.cut_messages(0, of="client", since_commit=True)
    await connection.execute("BEGIN")
    await connection.execute("SELECT 'COMMIT'")
    assert not proxy.happens(0)
    with pytest.raises(ASYNCPG.ConnectionDoesNotExistError):
        await asyncio.wait_for(connection.execute("COMMIT"), 5)
    assert proxy.happens()


async def test_a_held_connection_alone_waits(connection: Any, proxy: Proxy) -> None:
    """Another one goes on meanwhile, and what was held travels on when it is healed."""
    other = await connect(proxy.url)
    proxy.cut_messages(act="hold")
    asking = asyncio.ensure_future(connection.fetchval("SELECT 1"))
    assert await asyncio.to_thread(proxy.happens)
    assert 2 == await asyncio.wait_for(other.fetchval("SELECT 2"), 5)
    assert not asking.done()
    proxy.heal()
    assert 1 == await asyncio.wait_for(asking, 5)
    await other.close()


async def test_a_cut_takes_the_next_connection_when_its_own_has_gone(
    connection: Any, proxy: Proxy
) -> None:
    """A fault that cannot happen any more on one connection happens on another."""
    proxy.cut_messages(100)
    await connection.execute("SELECT 1")
    await connection.close()
    proxy.settle()
    assert not proxy.happens(0)
    again = await connect(proxy.url)
    with pytest.raises(ASYNCPG.ConnectionDoesNotExistError):
        await again.fetch("SELECT generate_series(1, 200)")
    assert proxy.happens()


async def test_what_is_slowed_down_arrives_late_and_in_order(
    connection: Any, proxy: Proxy
) -> None:
    """Each way takes so much longer; healed, it is fast again."""
    loop = asyncio.get_running_loop()
    proxy.slow_down(0.02)
    began = loop.time()
    rows = await connection.fetch("SELECT generate_series(1, 20000)")
    assert loop.time() - began >= 0.04
    assert [*range(1, 20001)] == [row[0] for row in rows]
    proxy.heal()
    assert 1 == await connection.fetchval("SELECT 1")


def test_what_is_hushed_up_is_heard_when_it_is_healed(
    proxy: Proxy, observer: psycopg.Connection[Any]
) -> None:
    """The last words arrive, and the connection seems to live."""
    with psycopg.connect(proxy.url) as connection:
        number = connection.info.backend_pid
        connection.execute("SELECT 1")
        proxy.hush_up()
        observer.execute("SELECT pg_terminate_backend(%s, 5000)", [number])
        with pytest.raises(psycopg.errors.AdminShutdown):
            connection.execute("SELECT 1")
        assert not connection.broken
        proxy.heal()
        with pytest.raises(psycopg.OperationalError):
            connection.rollback()
        assert connection.broken


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_messages_are_found_however_they_are_cut_up(step: int) -> None:
    """A client introduces itself without a type; the bytes come in any portions."""
    ssl = struct.pack("!II", 8, 80877103)
    startup = struct.pack("!II", 15, 196608) + b"a\0b\0c\0\0"
    query = b"Q\0\0\0\x0bCOMMIT\0"
    sent = ssl + startup + query + b"X\0\0\0\x04"
    frames, found, whole = Frames(client=True), list[bytes](), b""
    for at in range(0, len(sent), step):
        for piece in frames.pieces(sent[at : at + step]):
            assert piece.begins is not bool(whole)
            whole += piece.data
            if piece.ends:
                found.append(whole)
                whole = b""
    assert [ssl, startup, query, b"X\0\0\0\x04"] == found
    assert [False, False, True, False] == [is_commit(one) for one in found]


def test_packets_of_mysql_are_found() -> None:
    """Their length is in the other order, and their command behind it."""
    frames = Frames(mysql=True, client=True)
    sent = b"\x07\0\0\0\x03COMMIT" + b"\x01\0\0\0\x01"
    found = [piece.data for piece in frames.pieces(sent)]
    assert [b"\x07\0\0\0\x03COMMIT", b"\x01\0\0\0\x01"] == found
    assert [True, False] == [is_commit(one) for one in found]
