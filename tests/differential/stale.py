"""Rows that others have changed or deleted, and rows that are many."""
# ruff: noqa: D401 - a scenario says what is, it orders nothing

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, inspect, select, update
from sqlalchemy.orm import Session

from tests.differential._catalogue import cases
from tests.differential._models import TABLES, Counted, Item, Owner

if TYPE_CHECKING:
    from tests.differential._ground import Ground


@cases(0, 1)
def stale_update_of_several(ground: Ground, gone: int) -> object:
    """One of several changed rows was deleted elsewhere: StaleDataError."""
    with Session(ground.engine) as session:
        for one in session.scalars(select(Item)).all():
            one.name = "changed"
        if gone:
            ground.observe("DELETE FROM item WHERE id = 2")
        return ground.attempt(session.commit)


def stale_update_of_one(ground: Ground) -> object:
    """A changed row was deleted elsewhere: StaleDataError."""
    with Session(ground.engine) as session:
        session.get_one(Item, 2).name = "changed"
        ground.observe("DELETE FROM item WHERE id = 2")
        return ground.attempt(session.commit)


@cases(1, 2)
def stale_delete(ground: Ground, how_many: int) -> object:
    """Rows to be deleted were deleted elsewhere: a warning."""
    with Session(ground.engine) as session:
        found = session.scalars(select(Item).order_by(Item.id)).all()
        for one in found[:how_many]:
            session.delete(one)
        ground.observe("DELETE FROM item WHERE id = 1")
        return ground.attempt(session.commit)


@cases(1, 2)
def stale_version(ground: Ground, how_many: int) -> object:
    """A version that another has raised: StaleDataError."""
    ground.observe(TABLES)
    with Session(ground.engine) as session:
        found = session.scalars(select(Counted).order_by(Counted.id)).all()
        for one in found[:how_many]:
            one.name = "changed"
        ground.observe("UPDATE counted SET version = 5 WHERE id = 1")
        return ground.attempt(session.commit)


def bulk_insert(ground: Ground) -> object:
    """add_all() of many rows reads their keys back in order."""
    ground.observe(TABLES)
    with Session(ground.engine) as session:
        owners = [Owner(name=f"{number}") for number in range(1001)]
        session.add_all(owners)
        session.commit()
        ids = [owner.id for owner in owners]
        return [ids[0], ids[-1], ids == sorted(ids)]


def bulk_mappings(ground: Ground) -> None:
    """bulk_insert_mappings() and bulk_update_mappings()."""
    with Session(ground.engine) as session:
        mapper: Any = inspect(Item)
        session.bulk_insert_mappings(mapper, [{"id": 4}, {"id": 5}])
        session.bulk_update_mappings(mapper, [{"id": 1, "n": 0}, {"id": 2, "n": 0}])
        session.commit()


def update_and_delete(ground: Ground) -> object:
    """update() and delete() of the ORM count their rows."""
    with Session(ground.engine) as session:
        changed: Any = session.execute(update(Item).values(n=0))
        deleted: Any = session.execute(delete(Item).where(Item.id > 1))
        session.commit()
        return [changed.rowcount, deleted.rowcount]


def bulk_update_by_key(ground: Ground) -> object:
    """update() with a list of keys, one of which is not there."""
    with Session(ground.engine) as session:
        given = [{"id": 1, "n": 0}, {"id": 77, "n": 0}]
        told = ground.attempt(lambda: session.execute(update(Item), given) and None)
        ground.attempt(session.commit)
        return told
