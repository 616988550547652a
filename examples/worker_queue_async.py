"""Share the jobs of a table among workers, each job to be done exactly once.

A worker takes a job by locking its row; SKIP LOCKED passes over the rows of the
others. A job and its result are one transaction, so that a worker that dies gives
its job back. Needs PostgreSQL; starts one where no URL is given.
"""

from __future__ import annotations

import asyncio
from asyncio import Barrier, TaskGroup
from typing import TYPE_CHECKING

from _program import database, postgres_server
from _tables_async import async_tables
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from async_layers import async_engine_scope, async_read, async_transaction

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

WORKERS = ("Ada", "Ben", "Cleo")
JOBS = 30


class Base(DeclarativeBase):
    """What the classes of this program have in common: their metadata."""


class Job(Base):
    """A job, who has done it, and how many times it is done."""

    __tablename__ = "example_job"

    number: Mapped[int] = mapped_column(primary_key=True)
    worker: Mapped[str | None]
    times: Mapped[int]


async def take(connection: AsyncConnection) -> int | None:
    """Lock a job that is free; where none is, wait for one that another has.

    Returns None when all are done. A lock is held until its transaction ends.
    """
    query = select(Job.number).where(Job.worker.is_(None)).order_by(Job.number).limit(1)
    number = await connection.scalar(query.with_for_update(skip_locked=True))
    if number is None:
        number = await connection.scalar(query.with_for_update())
    return number


async def finish(connection: AsyncConnection, number: int | None, worker: str) -> None:
    """Do a job and write that it is done."""
    done = update(Job).where(Job.number == number)
    await connection.execute(done.values(worker=worker, times=Job.times + 1))


async def work(engine: AsyncEngine, worker: str, all_busy: Barrier) -> None:
    """Do jobs until all are done; let each worker have a first one."""
    waited = False
    while True:
        async with async_transaction(engine) as connection:
            number = await take(connection)
            if number is None:
                return
            if not waited:
                await all_busy.wait()
                waited = True
            await finish(connection, number, worker)


async def die(engine: AsyncEngine, worker: str, all_busy: Barrier) -> None:
    """Lose the connection when a job is written as done, and not committed."""
    try:
        async with async_transaction(engine) as connection:
            await finish(connection, await take(connection), worker)
            await all_busy.wait()
            me = func.pg_backend_pid()
            await connection.execute(select(func.pg_terminate_backend(me)))
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        print(f"{worker} dies in the middle of a job.")


async def work_together(engine: AsyncEngine) -> None:
    """Let all work at the same time, and one of them die."""
    all_busy = Barrier(len(WORKERS) + 1)
    async with TaskGroup() as group:
        for name in WORKERS:
            group.create_task(work(engine, name, all_busy))
        group.create_task(die(engine, "Dan", all_busy))


async def main(url: str) -> None:
    """Fill the queue, work until it is empty, and count."""
    async with async_engine_scope(url, connect_timeout=5) as engine:
        if engine.dialect.name != "postgresql":
            raise ArgumentError("The queue needs PostgreSQL; write postgresql://...")
        async with async_tables(engine, Base.metadata):
            async with async_transaction(engine) as connection:
                jobs = [{"number": 1 + n, "times": 0} for n in range(JOBS)]
                await connection.execute(insert(Job), jobs)
            await work_together(engine)
            async with async_read(engine) as connection:
                rows = await connection.execute(select(Job.worker, Job.times))
                workers, times = zip(*rows, strict=True)
    print(f"{times.count(1)} of {JOBS} jobs are done once.")
    print(f"Who has done them: {', '.join(sorted(set(workers)))}.")


if __name__ == "__main__":
    with database(__doc__, default=postgres_server) as url:
        asyncio.run(main(url))
