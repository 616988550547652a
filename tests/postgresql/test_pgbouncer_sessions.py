"""What a session says behind PgBouncer, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, literal, select
from sqlalchemy.ext.asyncio import AsyncEngine

from async_layers import async_read, read
from tests.postgresql import _pgbouncer
from tests.postgresql._dialects import OURS, OURS_ASYNC
from tests.postgresql._pgbouncer import INSTALL, open_through, program
from tests.postgresql._standby import open_both

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from tests.postgresql._pgbouncer import PgBouncer

bouncer = _pgbouncer.bouncer

pytestmark = pytest.mark.skipif(program() is None, reason=INSTALL)


@pytest.fixture(params=[OURS, OURS_ASYNC])
def driver(request: pytest.FixtureRequest) -> str:
    """Return the names of our dialects in turn."""
    named: str = request.param
    return named


def test_pool_that_pings_leaves_nothing(bouncer: PgBouncer, driver: str) -> None:
    """The ping is no transaction, so that no backend stays with its client."""
    with open_through(bouncer, driver, pool_size=1, pool_pre_ping=True) as side:
        found = [side.run(lambda one: one.scalar(select(1))) for _ in range(3)]
        assert ([1, 1, 1], {"idle"}) == (found, set(bouncer.backends()))


def test_words_of_begin_end_with_the_transaction(
    bouncer: PgBouncer, driver: str
) -> None:
    """A level, or READ ONLY, is none of the next client's business."""
    settings = select(
        func.current_setting("transaction_isolation"),
        func.current_setting("transaction_read_only"),
    )

    def ask(connection: Connection) -> tuple[Any, ...]:
        return tuple(connection.execute(settings).one())

    words = {"isolation_level": "SERIALIZABLE", "postgresql_readonly": True}
    with open_through(bouncer, driver) as side:
        found = [side.run(ask, **words), *(side.run(ask) for _ in range(3))]
    assert [("serializable", "on"), *3 * [("read committed", "off")]] == found


def test_level_of_an_engine_is_said_with_each_transaction(
    bouncer: PgBouncer, driver: str
) -> None:
    """It holds on each backend, and stays on none."""
    level = select(func.current_setting("transaction_isolation"))

    def ask(engine: Engine) -> list[object]:
        with engine.connect() as one, engine.connect() as two, engine.connect() as last:
            return [each.scalar(level) for each in (one, two, last)]

    with open_through(bouncer, driver, isolation_level="REPEATABLE READ") as side:
        assert ["repeatable read"] * 3 == side.on_engine(ask)
    with open_through(bouncer, driver) as side:
        assert ["read committed"] * 3 == side.on_engine(ask)


def test_reading_in_autocommit_leaves_its_backend(
    bouncer: PgBouncer, driver: str
) -> None:
    """Each statement is a transaction, so that a backend is free after it."""
    statement = select(literal(1))
    with open_through(bouncer, driver) as side:
        if isinstance(side.opened, AsyncEngine):

            async def ask(engine: AsyncEngine) -> tuple[object, list[str]]:
                async with async_read(engine) as connection:
                    found = [await connection.scalar(statement) for _ in range(7)]
                    return found, bouncer.backends()

            found, states = side.drive(ask)
        else:
            with read(side.opened) as connection:
                found = [connection.scalar(statement) for _ in range(7)]
                states = bouncer.backends()
    assert ([1] * 7, {"idle"}, []) == (found, set(states), bouncer.prepared())


def test_settings_of_a_client_are_handed_on(bouncer: PgBouncer) -> None:
    """What is not refused holds on whichever backend, and is no one else's."""
    zone = select(func.current_setting("TimeZone"))
    settings = {"server_settings": {"timezone": "Asia/Tokyo"}}
    with (
        open_through(bouncer, OURS_ASYNC, connect_args=settings) as far,
        open_through(bouncer, OURS_ASYNC) as here,
    ):
        home = here.run(lambda one: one.scalar(zone))
        found = [side.run(lambda one: one.scalar(zone)) for side in (far, here) * 3]
    assert home != "Asia/Tokyo"
    assert ["Asia/Tokyo", home] * 3 == found


def test_primary_is_found_through_it(bouncer: PgBouncer, driver: str) -> None:
    """Whether it writes is asked of the server, since PgBouncer does not tell."""
    url = bouncer.url.render_as_string(hide_password=False)
    standby = select(func.pg_is_in_recovery())
    with open_both(driver, url, pooler="pgbouncer") as both:
        found = [
            side.run(lambda one: one.scalar(standby))
            for side in (both.primary, both.reading)
        ]
    assert ([False, False], []) == (found, bouncer.prepared())
