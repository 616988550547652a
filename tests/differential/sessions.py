"""The ORM: units of work, object states, joined transactions, stale rows."""
# ruff: noqa: D401 - a scenario says what is, it orders nothing

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, selectinload

from tests.differential._ground import rows, run
from tests.differential._models import TABLES, Item, Owner, Pet

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.differential._ground import Ground


def unit_of_work(ground: Ground) -> object:
    """commit() keeps what was added, changed and deleted."""
    with Session(ground.engine) as session:
        session.add(Item(id=4, name="d", n=1))
        session.get_one(Item, 1).name = "changed"
        session.delete(session.get_one(Item, 2))
        session.commit()
        return [one.name for one in session.scalars(select(Item).order_by(Item.id))]


def unit_of_work_forgotten(ground: Ground) -> None:
    """Without commit() nothing stays."""
    with Session(ground.engine) as session:
        session.add(Item(id=4))
        session.flush()


def session_begin(ground: Ground) -> None:
    """begin() commits at its end."""
    with Session(ground.engine) as session, session.begin():
        session.add(Item(id=4))


def session_begin_raises(ground: Ground) -> None:
    """An exception that leaves begin() rolls back."""
    with Session(ground.engine) as session, session.begin():
        session.add(Item(id=4))
        session.flush()
        raise KeyError("mine")


def session_nested(ground: Ground) -> object:
    """begin_nested() undoes itself alone."""
    with Session(ground.engine) as session, session.begin():
        session.add(Item(id=4))
        told = ground.attempt(lambda: _nested(session))
        session.add(Item(id=6))
        return told


def _nested(session: Session) -> None:
    with session.begin_nested():
        session.add(Item(id=5))
        session.flush()
        session.add(Item(id=1))


def pending_rollback(ground: Ground) -> object:
    """After a flush that failed only rollback() helps."""
    with Session(ground.engine) as session:
        session.add(Item(id=1))
        told = [
            ground.attempt(session.flush),
            ground.attempt(lambda: session.scalars(select(Item)).all()),
            ground.attempt(session.commit),
        ]
        session.rollback()
        session.add(Item(id=4))
        session.commit()
        return told


def error_in_execute(ground: Ground) -> object:
    """A statement that failed leaves the transaction to the server."""
    with Session(ground.engine) as session:
        told = ground.attempt(run, session, "SELECT 1 / 0")
        return [told, ground.attempt(run, session, "SELECT 1")]


def object_states(ground: Ground) -> object:
    """An object is transient, pending, persistent, deleted, detached."""
    one, told = Item(id=4), list[Any]()

    def note() -> None:
        state: Any = inspect(one)
        names = ("transient", "pending", "persistent", "deleted", "detached")
        told.append([name for name in names if getattr(state, name)])

    note()
    with Session(ground.engine) as session:
        steps: tuple[Callable[[], object], ...] = (
            lambda: session.add(one),
            session.flush,
            session.rollback,
            lambda: session.add(one),
            session.commit,
            lambda: session.delete(one),
            session.flush,
            session.rollback,
            lambda: session.expunge(one),
        )
        for step in steps:
            step()
            note()
    return told


def refresh_and_expire(ground: Ground) -> object:
    """An expired object is read again."""
    with Session(ground.engine) as session:
        one = session.get_one(Item, 1)
        ground.observe("UPDATE item SET name = 'other' WHERE id = 1")
        before = one.name
        session.refresh(one)
        return [before, one.name]


def cascade(ground: Ground) -> object:
    """Parents and children are inserted with the keys that the server made."""
    ground.observe(TABLES)
    with Session(ground.engine) as session:
        owner = Owner(name="new", pets=[Pet(), Pet()])
        session.add(owner)
        session.commit()
        return [owner.id, [pet.id for pet in owner.pets]]


def foreign_key(ground: Ground) -> object:
    """A child without a parent is 23503 at the flush."""
    ground.observe(TABLES)
    with Session(ground.engine) as session:
        session.add(Pet(owner_id=99))
        return ground.attempt(session.flush)


def eager_load(ground: Ground) -> object:
    """selectinload() reads children in a second SELECT."""
    ground.observe(TABLES)
    with Session(ground.engine) as session:
        asked = select(Owner).options(selectinload(Owner.pets))
        return [[pet.id for pet in one.pets] for one in session.scalars(asked)]


def lazy_load(ground: Ground) -> object:
    """A relationship that was not loaded is read, where reading needs no await."""
    ground.observe(TABLES)
    with Session(ground.engine) as session:
        owner = session.get_one(Owner, 1)
        return ground.attempt(lambda: len(owner.pets))


async def lazy_load_async(ground: Ground) -> object:
    """A relationship that was not loaded is read, where reading needs no await."""
    ground.observe(TABLES)
    async with AsyncSession(ground.async_engine) as session:
        owner = await session.get_one(Owner, 1)
        return ground.attempt(lambda: len(owner.pets))


def expired_attribute(ground: Ground) -> object:
    """An attribute that commit() expired is read again, where that needs no await."""
    with Session(ground.engine) as session:
        one = session.get_one(Item, 1)
        session.commit()
        return ground.attempt(lambda: one.name)


async def expired_attribute_async(ground: Ground) -> object:
    """An attribute that commit() expired is read again, where that needs no await."""
    async with AsyncSession(ground.async_engine) as session:
        one = await session.get_one(Item, 1)
        await session.commit()
        return ground.attempt(lambda: one.name)


def use_after_close(ground: Ground) -> object:
    """A closed session begins anew."""
    session = Session(ground.engine)
    session.close()
    told = rows(session, "SELECT 1")
    session.close()
    return told


def close_resets_only(ground: Ground) -> object:
    """Without that a closed session stays closed."""
    session = Session(ground.engine, close_resets_only=False)
    session.close()
    return ground.attempt(rows, session, "SELECT 1")
