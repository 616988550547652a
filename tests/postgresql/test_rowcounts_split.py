"""Counts that arrive in pieces: the network cuts messages where it likes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import bindparam, make_url, update

from async_layers.drivers._postgresql.wire import Counter
from tests.postgresql._dialects import ASYNCIO, ASYNCPG, open_async_engine, wrong_on
from tests.postgresql._people import People

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.postgresql._people import Observer


@asynccontextmanager
async def in_pieces(url: str, size: int) -> AsyncIterator[str]:
    """Lend the URL of a server whose answers come by so many bytes at a time.

    The relay is on the client's own loop, which reads each piece before the next.
    """
    server = make_url(url)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(
            server.host, server.port or 5432
        )
        requests = asyncio.create_task(pass_on(reader, to_server))
        while piece := await from_server.read(size):
            writer.write(piece)
            await asyncio.sleep(0)
        writer.close()
        await requests

    relaying = await asyncio.start_server(relay, "127.0.0.1")
    async with relaying:
        port: int = relaying.sockets[0].getsockname()[1]
        through = server.set(host="127.0.0.1", port=port)
        yield through.render_as_string(hide_password=False)


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what a client asks, until it has nothing more to ask."""
    while request := await reader.read(65536):
        writer.write(request)
    writer.close()


def message(kind: bytes, body: bytes) -> bytes:
    """Return a message of the protocol."""
    return kind + (4 + len(body)).to_bytes(4, "big") + body


BOUND = message(b"2", b"")
DONE = st.tuples(
    st.sampled_from([b"UPDATE ", b"INSERT 0 ", b"DELETE ", b"MERGE "]),
    st.sampled_from([0, 1, 1, 1, 1, 12, 300]),
)
BESIDE = st.one_of(
    st.just(b""),
    st.binary(max_size=9).map(
        lambda body: message(b"D", b"C\0\0\0\x0cUPDATE 9" + body)
    ),
    st.just(message(b"N", b"SWARNING\0\0")),
)


@given(
    answers=st.lists(st.tuples(BESIDE, DONE, st.integers(1, 30)), max_size=6),
    cuts=st.lists(st.integers(1, 40), max_size=30),
)
def test_counter_adds_up_whatever_is_between(
    answers: list[tuple[bytes, tuple[bytes, int], int]], cuts: list[int]
) -> None:
    """Rows and warnings count for nothing, and neither do the places of the cuts."""
    rest, expected, counter = b"", (0, 0), Counter()
    for beside, (tag, rows), times in answers:
        done = message(b"C", tag + str(rows).encode() + b"\0")
        rest += (BOUND + beside + done) * times
        expected = expected[0] + rows * times, expected[1] + times
    for cut in cuts:
        piece, rest = rest[:cut], rest[cut:]
        if piece:
            counter.feed(piece)
    if rest:
        counter.feed(rest)
    assert expected == (counter.rows, counter.statements)


@wrong_on(ASYNCPG, "executemany counts no rows", among=ASYNCIO)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 19])
async def test_count_that_straddles_packets_is_read(
    driver: str, size: int, postgresql_url: str, observer: Observer, schema: str
) -> None:
    """No byte of a tag is lost, wherever it is cut."""
    people = People(observer, schema)
    people.add(130)
    table = people.table
    statement = (
        update(table).where(table.c.id <= bindparam("number")).values(name="emma")
    )
    numbers = [1, 12, 130]
    async with in_pieces(postgresql_url, size) as url:
        engine = open_async_engine(driver, url)
        async with engine.begin() as connection:
            result = await connection.execute(
                statement, [{"number": number} for number in numbers]
            )
        await engine.dispose()
    assert sum(numbers) == result.rowcount
