"""Connections that are refused, lost, pinged, reset, given up."""
# ruff: noqa: D401 - a scenario says what is, it orders nothing

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from tests.differential._catalogue import cases
from tests.differential._ground import ITEM, add, do, rows, run

if TYPE_CHECKING:
    from tests.differential._ground import Ground


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@cases(
    ("refused", {"port": 0}),
    ("wrong user", {"username": "nobody_here"}),
    ("wrong database", {"database": "nothing_here"}),
    ("unknown host", {"host": "unknown.invalid"}),
    ("no socket", {"host": "/nowhere"}),
)
def not_to_be_had(ground: Ground, _: str, at: dict[str, Any]) -> object:
    """A server that is not there, or does not let us in: OperationalError."""
    if "port" in at:
        at = {"port": _closed_port()}
    engine = ground.open(used=False, at=at)
    return ground.attempt(engine.connect)


def startup_parameter_refused(ground: Ground) -> object:
    """A server that refuses what it is told at the start."""
    told: dict[str, Any] = {"server_settings": {"work_mem": "x"}}
    if ground.side.driver == "psycopg":
        told = {"options": "-cwork_mem=x"}
    engine = ground.open(used=False, connect_args=told)
    return ground.attempt(engine.connect)


def ended_idle(ground: Ground) -> object:
    """A backend that ended while idle is found at the next statement."""
    with ground.engine.connect() as connection:
        rows(connection, "SELECT 1")
        connection.rollback()
        ground.kill(connection)
        told = ground.attempt(rows, connection, "SELECT 1")
        lost = connection.invalidated
        after = ground.attempt(connection.rollback)
        return [told, lost, after, ground.attempt(rows, connection, "SELECT 1")]


def ended_in_a_transaction(ground: Ground) -> object:
    """A backend that ended in a transaction: only rollback() helps."""
    with ground.engine.connect() as connection:
        add(connection, 4)
        ground.kill(connection)
        told = ground.attempt(add, connection, 5)
        again = ground.attempt(add, connection, 6)
        connection.rollback()
        add(connection, 7)
        connection.commit()
        return [told, again]


@cases("commit", "rollback", "close")
def ended_before(ground: Ground, what: str) -> object:
    """A backend that ended before commit(), rollback() or close()."""
    with ground.engine.connect() as connection:
        add(connection, 4)
        ground.kill(connection)
        told = ground.attempt(getattr(connection, what))
    with ground.engine.connect() as connection:
        return [told, rows(connection, "SELECT 1")]


def ended_in_begin(ground: Ground) -> None:
    """A backend that ended before the COMMIT of begin()."""
    with ground.engine.begin() as connection:
        add(connection, 4)
        ground.kill(connection)


def ended_in_begin_by_an_error(ground: Ground) -> None:
    """A backend that ended before the ROLLBACK of begin()."""
    with ground.engine.begin() as connection:
        add(connection, 4)
        ground.kill(connection)
        raise KeyError("mine")


def ended_in_a_savepoint(ground: Ground) -> None:
    """A backend that ended in a savepoint."""
    with ground.engine.begin() as connection, connection.begin_nested():
        add(connection, 4)
        ground.kill(connection)
        add(connection, 5)


def ended_busy(ground: Ground) -> object:
    """A backend that ends while it works: OperationalError 57P01."""
    with ground.engine.connect() as connection:
        with ground.meanwhile(lambda: ground.end_busy("pg_terminate_backend")):
            told = ground.attempt(lambda: rows(connection, "SELECT pg_sleep(5)"))
        lost = connection.invalidated
        connection.rollback()
        return [told, lost, rows(connection, "SELECT 1")]


def ended_in_executemany(ground: Ground) -> object:
    """A backend that ended before an executemany."""
    with ground.engine.connect() as connection:
        rows(connection, "SELECT 1")
        ground.kill(connection)
        given = [{"id": 4}, {"id": 5}]
        return ground.attempt(do, connection, ITEM.insert(), given)


def ended_in_a_session(ground: Ground) -> object:
    """A session whose backend ended goes on after rollback()."""
    with Session(ground.engine) as session:
        add(session, 4)
        ground.kill(session)
        told = ground.attempt(add, session, 5)
        session.rollback()
        add(session, 6)
        session.commit()
        return told


def ended_in_autocommit(ground: Ground) -> object:
    """A backend that ended, under AUTOCOMMIT."""
    engine = ground.engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        rows(connection, "SELECT 1")
        ground.kill(connection)
        return ground.attempt(add, connection, 4)


def ended_itself(ground: Ground) -> object:
    """A backend that ends itself."""
    with ground.engine.connect() as connection:
        sql = "SELECT pg_terminate_backend(pg_backend_pid())"
        told = ground.attempt(rows, connection, sql)
        return [told, connection.invalidated]


def ended_in_the_pool(ground: Ground) -> object:
    """A backend that ended in the pool, without pre-ping."""
    with ground.engine.connect() as connection:
        ground.kill(connection)
    with ground.engine.connect() as connection:
        told = ground.attempt(rows, connection, "SELECT 1")
    with ground.engine.connect() as connection:
        return [told, rows(connection, "SELECT 1")]


def ended_in_the_pool_and_pinged(ground: Ground) -> object:
    """A backend that ended in the pool, with pre-ping."""
    engine = ground.open(pool_pre_ping=True)
    with engine.connect() as connection:
        ground.kill(connection)
    with engine.connect() as connection:
        return rows(connection, "SELECT 1")


def ended_and_all_others(ground: Ground) -> object:
    """One lost connection makes the pool doubt all of them."""
    one, two = ground.engine.connect(), ground.engine.connect()
    rows(two, "SELECT 1")
    two.close()
    ground.kill(one)
    told = ground.attempt(rows, one, "SELECT 1")
    one.close()
    return [
        told,
        len(
            ground.observe(
                "SELECT 1 FROM pg_stat_activity WHERE application_name = %s",
                ground.application,
            )
        ),
    ]


@cases("idle_in_transaction_session_timeout", "idle_session_timeout")
def idle_timeout(ground: Ground, setting: str) -> object:
    """A connection that was idle for too long."""
    with ground.engine.connect() as connection:
        run(connection, f"SET {setting} = '20ms'")
        if setting == "idle_session_timeout":
            connection.commit()
        ground.wait_for(
            "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity"
            " WHERE application_name = %s)",
            ground.application,
        )
        told = ground.attempt(rows, connection, "SELECT 1")
        return [told, connection.invalidated]
