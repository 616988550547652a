"""What the trace costs: when it is on, when it was never on, and after it was on."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import async_layers
from tests.benchmarks._measure import Case, Sample
from tests.benchmarks._table import ONE, Item, create, drop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine


@contextmanager
def cases(url: str) -> Iterator[list[Case]]:
    """Lend the comparison of an engine under trace with one that is not."""
    with (
        async_layers.engine_scope(url) as ours,
        async_layers.engine_scope(url) as theirs,
    ):
        with ours.begin() as connection:
            create(connection)
        try:
            yield [
                Case(
                    "trace on, connection",
                    under_trace(ours, work(ours)),
                    work(theirs),
                    1.3,
                ),
                Case(
                    "trace on, session",
                    under_trace(ours, units(ours)),
                    units(theirs),
                    1.3,
                ),
            ]
        finally:
            with ours.begin() as connection:
                drop(connection)


def work(engine: Engine) -> Callable[[int], None]:
    """Return a transaction of three statements, to be done so many times."""

    def call(count: int) -> None:
        for _ in range(count):
            with async_layers.transaction(engine) as connection:
                for _ in range(3):
                    connection.execute(ONE).all()

    return call


def units(engine: Engine) -> Callable[[int], None]:
    """Return a unit of work that loads an object, to be done so many times."""
    factory = async_layers.sessionmaker(engine, expire_on_commit=True)

    def call(count: int) -> None:
        for _ in range(count):
            with async_layers.unit_of_work(factory) as session:
                session.get_one(Item, 1)

    return call


def under_trace(engine: Engine, call: Callable[[int], None]) -> Callable[[int], None]:
    """Return the same work, all of it under one trace."""

    def traced(count: int) -> None:
        with async_layers.trace(engine):
            call(count)

    return traced


@contextmanager
def off_cases() -> Iterator[list[Case]]:
    """Lend the comparisons of processes that do the same plain work.

    One has never imported async_layers, one has and never traced, one has traced
    an engine and the whole process, and is done with it.
    """
    with ExitStack() as stack:
        plain, imported, traced = (
            stack.enter_context(_process(past))
            for past in ("plain", "imported", "traced")
        )
        yield [
            Case("trace never on", imported, plain, 1.0),
            Case("trace was on", traced, plain, 1.0),
            Case("the same process twice", plain, plain, 1.0),
        ]


@contextmanager
def _process(past: str) -> Iterator[Callable[[int], Sample]]:
    """Lend the plain work of a process with a past; it takes its own sample."""
    command = [sys.executable, "-m", "tests.benchmarks._plain", past]
    with (
        TemporaryDirectory() as directory,
        subprocess.Popen(
            [*command, f"sqlite:///{directory}/plain.db"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONHASHSEED": "0"},
        ) as process,
    ):
        asking, answering = process.stdin, process.stdout
        if asking is None or answering is None:
            raise RuntimeError("The process has no pipes.")

        def call(count: int) -> Sample:
            asking.write(f"{count}\n")
            asking.flush()
            clock, processor, calls = answering.readline().split()
            return Sample(float(clock), float(processor), int(calls))

        yield call
        asking.close()
