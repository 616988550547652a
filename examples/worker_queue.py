"""Share the jobs of a table among workers, each job to be done exactly once.

A worker takes a job by locking its row; SKIP LOCKED passes over the rows of the
others. A job and its result are one transaction, so that a worker that dies gives
its job back. Needs PostgreSQL; starts one where no URL is given.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

from _program import database, postgres_server
from _tables import tables
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from async_layers import engine_scope, read, transaction

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

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


def take(connection: Connection) -> int | None:
    """Lock a job that is free; where none is, wait for one that another has.

    Returns None when all are done. A lock is held until its transaction ends.
    """
    query = select(Job.number).where(Job.worker.is_(None)).order_by(Job.number).limit(1)
    number = connection.scalar(query.with_for_update(skip_locked=True))
    if number is None:
        number = connection.scalar(query.with_for_update())
    return number


def finish(connection: Connection, number: int | None, worker: str) -> None:
    """Do a job and write that it is done."""
    done = update(Job).where(Job.number == number)
    connection.execute(done.values(worker=worker, times=Job.times + 1))


def work(engine: Engine, worker: str, all_busy: Barrier) -> None:
    """Do jobs until all are done; let each worker have a first one."""
    waited = False
    while True:
        with transaction(engine) as connection:
            number = take(connection)
            if number is None:
                return
            if not waited:
                all_busy.wait()
                waited = True
            finish(connection, number, worker)


def die(engine: Engine, worker: str, all_busy: Barrier) -> None:
    """Lose the connection when a job is written as done, and not committed."""
    try:
        with transaction(engine) as connection:
            finish(connection, take(connection), worker)
            all_busy.wait()
            me = func.pg_backend_pid()
            connection.execute(select(func.pg_terminate_backend(me)))
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        print(f"{worker} dies in the middle of a job.")


def work_together(engine: Engine) -> None:
    """Let all work at the same time, and one of them die."""
    all_busy = Barrier(len(WORKERS) + 1, timeout=30)
    with ThreadPoolExecutor(len(WORKERS) + 1) as pool:
        futures = [pool.submit(work, engine, name, all_busy) for name in WORKERS]
        pool.submit(die, engine, "Dan", all_busy).result()
    for future in futures:
        future.result()


def main(url: str) -> None:
    """Fill the queue, work until it is empty, and count."""
    with engine_scope(url, connect_timeout=5) as engine:
        if engine.dialect.name != "postgresql":
            raise ArgumentError("The queue needs PostgreSQL; write postgresql://...")
        with tables(engine, Base.metadata):
            with transaction(engine) as connection:
                jobs = [{"number": 1 + n, "times": 0} for n in range(JOBS)]
                connection.execute(insert(Job), jobs)
            work_together(engine)
            with read(engine) as connection:
                rows = connection.execute(select(Job.worker, Job.times))
                workers, times = zip(*rows, strict=True)
    print(f"{times.count(1)} of {JOBS} jobs are done once.")
    print(f"Who has done them: {', '.join(sorted(set(workers)))}.")


if __name__ == "__main__":
    with database(__doc__, default=postgres_server) as url:
        main(url)
