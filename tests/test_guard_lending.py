"""What is guarded, how it is turned off, and how an owner hands over."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pytest
import sqlalchemy.ext.asyncio
import sqlalchemy.orm
from sqlalchemy import create_engine as plain_engine
from sqlalchemy import text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from async_layers import (
    GuardError,
    async_engine_scope,
    async_read,
    async_sessionmaker,
    async_transaction,
    async_unit_of_work,
    engine_scope,
    hand_over,
    read,
    sessionmaker,
    transaction,
    unit_of_work,
)
from tests._living import OtherTask, OtherThread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from async_layers._proof.scratch import Scratch

ONE = text("SELECT 1")
T = TypeVar("T")


@pytest.fixture
def engine(sqlite_place: Scratch) -> Iterator[Engine]:
    """Return an engine on SQLite whose connections go from thread to thread."""
    with engine_scope(
        sqlite_place.urls["sync"], connect_args={"check_same_thread": False}
    ) as engine:
        yield engine


@pytest.fixture
async def async_engine(sqlite_place: Scratch) -> AsyncIterator[AsyncEngine]:
    """Return an engine on SQLite."""
    async with async_engine_scope(sqlite_place.urls["async"]) as engine:
        yield engine


class Below(Session):
    """A blocking session of the user's."""


class Ours(AsyncSession, Generic[T]):
    """A session of the user's, with one of his below it."""

    sync_session_class = Below

    async def one(self) -> object:
        """Return one, around what is guarded."""
        return await self.scalar(ONE)


class Made(AsyncSession):
    """A session of the user's, whose function makes the one below it."""

    @staticmethod
    def sync_session_class(**arguments: Any) -> Session:  # type: ignore[override]
        """Make the session below."""
        return Below(**arguments)


@pytest.mark.parametrize("class_", [Ours, Made])
async def test_session_below_is_the_users_and_guarded(
    async_engine: AsyncEngine, class_: type[AsyncSession]
) -> None:
    """However it is made, it is what the user wrote, and no other task commits."""
    factory = async_sessionmaker(async_engine, class_=class_)
    async with OtherTask() as other, async_unit_of_work(factory) as session:
        assert isinstance(session.sync_session, Below)
        await session.execute(ONE)
        with pytest.raises(GuardError):
            await other.do(session.commit)


# Handing over


def test_thread_hands_over(engine: Engine) -> None:
    """Who was handed a transaction ends it; who handed it over does not."""
    with OtherThread() as other, sessionmaker(engine)() as session:
        session.execute(ONE)
        hand_over(session, other)
        with pytest.raises(GuardError, match=r"hand_over\(\) of thread 'other'"):
            session.execute(ONE)
        other.do(session.commit)
        session.execute(ONE)
        with transaction(engine) as connection:
            hand_over(connection, threading.current_thread())
            assert 1 == connection.scalar(ONE)


async def test_task_hands_over(async_engine: AsyncEngine) -> None:
    """Who was handed a transaction ends it; who handed it over does not."""
    async with OtherTask() as other, async_sessionmaker(async_engine)() as session:
        await session.execute(ONE)
        hand_over(session, other.task)
        with pytest.raises(GuardError, match=r"hand_over\(\) of task 'other'"):
            await session.execute(ONE)
        await other.do(session.commit)
        await session.execute(ONE)


async def test_only_the_owner_hands_over(async_engine: AsyncEngine) -> None:
    """Another task does not take what it was not given."""
    async with OtherTask() as other, async_transaction(async_engine) as connection:

        async def take() -> None:
            hand_over(connection, other.task)

        with pytest.raises(GuardError, match=r"hand_over\(\) of task 'other'"):
            await other.do(take)


async def test_nobody_is_handed_what_he_cannot_take(
    engine: Engine, async_engine: AsyncEngine
) -> None:
    """A task or thread that has ended is refused, and one of the other world."""
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    here = threading.current_thread()
    async with async_sessionmaker(async_engine)() as session:
        for wrong in (task, here):
            with pytest.raises(ArgumentError, match="write a task that has not ended"):
                hand_over(session, wrong)  # type: ignore[arg-type]
    with transaction(engine) as connection:
        for wrong in (task, threading.Thread()):
            with pytest.raises(ArgumentError, match="write a thread that runs"):
                hand_over(connection, wrong)  # type: ignore[arg-type]


def test_nothing_to_hand_over_is_left_as_it_is(engine: Engine) -> None:
    """What is not guarded has no owner."""
    with engine.connect() as connection:
        hand_over(connection, threading.current_thread())
        assert 1 == connection.scalar(ONE)


# On and off


def test_guard_is_turned_off(engine: Engine) -> None:
    """With guard="off" threads may do everything, also what loses data."""
    factory = sessionmaker(engine, guard="off")
    with OtherThread() as other:
        with transaction(engine, guard="off") as connection:
            other.do(connection.rollback)
        with read(engine, guard="off") as connection:
            connection.execute(ONE)
            other.do(connection.rollback)
        for lent in (
            factory(),
            unit_of_work(factory),
            unit_of_work(sessionmaker(engine), guard="off"),
        ):
            with lent as session, session.begin_nested() as nested:
                other.do(nested.rollback)


async def test_guard_is_turned_off_under_asyncio(async_engine: AsyncEngine) -> None:
    """With guard="off" tasks may do everything, also what loses data."""
    factory = async_sessionmaker(async_engine, guard="off")
    async with OtherTask() as other:
        async with async_transaction(async_engine, guard="off") as connection:
            await other.do(connection.rollback)
        async with async_read(async_engine, guard="off") as connection:
            await connection.execute(ONE)
            await other.do(connection.rollback)
        for lent in (
            factory(),
            async_unit_of_work(factory),
            async_unit_of_work(async_sessionmaker(async_engine), guard="off"),
        ):
            async with lent as session, session.begin_nested() as nested:
                await session.connection()
                await other.do(nested.rollback)


def test_guard_is_on_or_off(engine: Engine) -> None:
    """Anything else is refused, also what compares with nothing."""
    wrong: Any
    for wrong in ("maybe", None, []):
        with pytest.raises(ArgumentError, match="write guard='on' or guard='off'"):
            sessionmaker(engine, guard=wrong)
        with pytest.raises(ArgumentError, match="write guard='on' or guard='off'"):
            transaction(engine, guard=wrong).__enter__()
    with pytest.raises(ArgumentError, match="guard is refused: seen 'maybe'"):
        unit_of_work(sessionmaker(engine), guard=wrong or "maybe").__enter__()


def test_connection_of_the_engine_is_not_guarded(engine: Engine) -> None:
    """SQLAlchemy's own connections and sessions are as they were."""
    with transaction(engine), OtherThread() as other:
        with engine.connect() as connection:
            connection.execute(ONE)
            other.do(connection.rollback)
        with Session(engine) as session:
            session.execute(ONE)
            other.do(session.rollback)


# Sessions of the user's own


def test_class_of_the_user_stays(engine: Engine) -> None:
    """Sessions are of the class that was given, by its name, and made once."""
    factory = sessionmaker(engine, class_=Below)
    with factory() as session:
        assert isinstance(session, Below)
        assert "Below" == type(session).__name__
    assert (
        type(session).__mro__[1]
        is type(sessionmaker(engine, class_=Below)()).__mro__[1]
    )


async def test_class_of_the_user_stays_under_asyncio(
    async_engine: AsyncEngine,
) -> None:
    """The same, for the session below too, and for one that is generic."""
    factory = async_sessionmaker(async_engine, class_=Ours)
    async with factory() as session, OtherTask() as other:
        assert isinstance(session, Ours)
        assert isinstance(session.sync_session, Below)
        assert "Ours" == type(session).__name__
        assert 1 == await session.one()
        with pytest.raises(GuardError, match="which began the transaction"):
            await other.do(session.commit)
    for same in (Ours, Ours[int], factory.class_):
        assert factory.class_ is async_sessionmaker(async_engine, class_=same).class_


def test_factory_is_configured_later(engine: Engine) -> None:
    """`configure` changes what SQLAlchemy's factory would change."""
    factory = sessionmaker(engine)
    factory.configure(info={"of": "a test"})
    with factory() as session:
        assert {"of": "a test"} == session.info


def test_unit_of_work_guards_sessions_of_a_plain_factory(engine: Engine) -> None:
    """A factory of SQLAlchemy's own makes sessions that are guarded here alone."""
    factory = sqlalchemy.orm.sessionmaker(engine)
    with OtherThread() as other:
        with unit_of_work(factory) as session:
            with pytest.raises(GuardError, match="which began the transaction"):
                other.do(session.rollback)
        with factory() as session:
            session.execute(ONE)
            other.do(session.rollback)


async def test_unit_of_work_guards_sessions_of_a_plain_factory_under_asyncio(
    async_engine: AsyncEngine,
) -> None:
    """A factory of SQLAlchemy's own makes sessions that are guarded here alone."""
    factory = sqlalchemy.ext.asyncio.async_sessionmaker(async_engine)
    async with OtherTask() as other, async_unit_of_work(factory) as session:
        with pytest.raises(GuardError, match="which began the transaction"):
            await other.do(session.rollback)


def test_connection_that_a_session_is_bound_to_is_another_s(engine: Engine) -> None:
    """A session guards the connections that it opens, and no other."""
    with engine.connect() as connection, OtherThread() as other:
        with sessionmaker(engine)(bind=connection) as session:
            assert session.connection() is connection
            session.execute(ONE)
            other.do(connection.rollback)


def test_engine_of_sqlalchemy_is_guarded(sqlite_url: str) -> None:
    """The guard stands in the helper, not in the engine."""
    engine = plain_engine(sqlite_url, connect_args={"check_same_thread": False})
    with OtherThread() as other, transaction(engine) as connection:
        with pytest.raises(GuardError, match="which began the transaction"):
            other.do(connection.rollback)
    engine.dispose()
