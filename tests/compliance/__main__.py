"""Run SQLAlchemy's own suite: `python -m tests.compliance [DATABASE ...] [OPTION ...]`.

Each of our dialects has to pass every test that it runs, and to run every test that
SQLAlchemy's own dialect of the same world runs. The databases are `sqlite` and
`postgresql`, both if none is named. Options are pytest's, such as `-k Insert`, and
hold for each run.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import takewhile
from typing import TYPE_CHECKING

from tests.compliance import databases
from tests.compliance.compare import failed, lost, summary
from tests.compliance.run import run_suite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from tests.compliance.databases import Lend
    from tests.compliance.run import Run

SERVERS: dict[str, Callable[[], AbstractContextManager[Lend]]] = {
    "sqlite": databases.sqlite,
    "postgresql": databases.postgresql,
}
# SQLAlchemy's own dialect and ours: in the blocking world, in the asyncio world.
PAIRS = {
    "sqlite": (
        ("sqlite+pysqlite", "sqlite+async_layers"),
        ("sqlite+aiosqlite", "sqlite+async_layers_async"),
    ),
    "postgresql": (
        ("postgresql+psycopg", "postgresql+async_layers"),
        ("postgresql+asyncpg", "postgresql+async_layers_async"),
    ),
}


def main(arguments: Sequence[str]) -> int:
    """Print the counts of each run and what is owed; return 1 if anything is."""
    names = list(takewhile(SERVERS.__contains__, arguments))
    options = arguments[len(names) :]
    with ExitStack() as stack:
        lend = {name: stack.enter_context(SERVERS[name]()) for name in names or SERVERS}
        owed = list(_owed_by(lend, options))
    for line in owed:
        _write(line)
    return int(bool(owed))


def _owed_by(lend: dict[str, Lend], options: Sequence[str]) -> Iterator[str]:
    """Run the suite on each dialect, on every processor; yield what ours owe."""

    def start(dialect: str) -> Run:
        with lend[dialect.partition("+")[0]](dialect) as url:
            return run_suite(dialect, url, options)

    pairs = [pair for name in lend for pair in PAIRS[name]]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = pool.map(start, (dialect for pair in pairs for dialect in pair))
        for stock, ours in zip(runs, runs, strict=True):
            _report(stock)
            _report(ours)
            yield from _owed(stock, ours)


def _report(run: Run) -> None:
    """Print the counts of a run, and all of its output where something failed."""
    counts = run.broken or summary(run.outcomes)
    _write(f"{run.dialect:30}{counts} in {run.seconds:.0f} s")
    if run.broken or failed(run.outcomes):
        _write(run.output)


def _owed(stock: Run, ours: Run) -> Iterator[str]:
    """Yield what our dialect fails, and what stock runs and it does not."""
    broken = [run for run in (stock, ours) if run.broken]
    for run in broken:
        yield f"{run.dialect} {run.broken}"
    if broken:
        return
    for name in failed(ours.outcomes):
        yield f"{ours.dialect} fails {name}"
    for name in lost(stock.outcomes, ours.outcomes):
        yield f"{ours.dialect} skips {name}, {stock.dialect} does not"


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
