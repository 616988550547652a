"""Plain SQLAlchemy in a process with a past: `plain`, `imported` or `traced`."""

from __future__ import annotations

import importlib
import sys

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from tests.benchmarks._measure import calls, sample
from tests.benchmarks._table import ONE, Item, create


def work(engine: Engine, count: int) -> None:
    """Do all that the trace listens to, so many times."""
    for _ in range(count):
        with Session(engine) as session, session.begin():
            session.get_one(Item, 1)
            with session.begin_nested():
                session.execute(ONE).all()


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
    """Answer each number on stdin with the sample of so many times."""
    engine = create_engine(url)
    with engine.begin() as connection:
        create(connection)
    work(engine, 200)
    live(past, engine)

    def again(count: int) -> None:
        work(engine, count)

    for line in sys.stdin:
        taken = sample(again, int(line))
        sys.stdout.write(f"{taken.clock} {taken.processor} {calls(again)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
