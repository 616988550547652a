"""Plain SQLAlchemy in a process with a past: `plain`, `imported` or `traced`."""

from __future__ import annotations

import importlib
import sys
import time

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from tests.benchmarks._measure import quiet
from tests.benchmarks._table import ONE, Item, create


def work(engine: Engine, count: int) -> float:
    """Do all that the trace listens to, so many times; return the seconds."""
    with quiet():
        start = time.perf_counter()
        for _ in range(count):
            with Session(engine) as session, session.begin():
                session.get_one(Item, 1)
                with session.begin_nested():
                    session.execute(ONE).all()
        return time.perf_counter() - start


def live(past: str, engine: Engine) -> None:
    """Do what the process has in its past."""
    if past == "plain":
        return
    async_layers = importlib.import_module("async_layers")
    if past == "traced":
        with async_layers.trace(engine):
            work(engine, 10)
        with async_layers.trace():
            work(engine, 10)


def main(past: str, url: str) -> None:
    """Answer each number on stdin with the seconds that so many times take."""
    engine = create_engine(url)
    with engine.begin() as connection:
        create(connection)
    work(engine, 200)
    live(past, engine)
    for line in sys.stdin:
        sys.stdout.write(f"{work(engine, int(line))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
