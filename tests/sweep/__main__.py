"""Sweep the asyncio facts: `python -m tests.sweep [URL] [--some N] [--only TEXT]`.

Without a URL it sweeps a file of SQLite and the embedded PostgreSQL.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from async_layers._proof.facts import load_facts
from async_layers._proof.scratch import scratch
from async_layers.embedded import embedded_postgres
from tests.sweep.cancelled import Body, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from async_layers._proof.facts import Fact
    from async_layers._proof.scratch import Scratch


@contextmanager
def server(url: str | None) -> Iterator[list[str]]:
    """Lend the URLs of what is swept."""
    if url is not None:
        yield [url]
        return
    with embedded_postgres() as started:
        yield ["sqlite://", started.url]


def facts_of(place: Scratch, only: str) -> Iterator[Fact]:
    """Return the facts of a place, and those alone that its server can be asked."""
    for fact in load_facts():
        asked = place.database in fact.databases and only in fact.name
        if asked and not place.lacks(fact.needs):
            yield fact


def main() -> int:
    """Sweep, print what is wrong, and how much was swept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--some", type=int, default=10_000, help="awaits of each fact")
    parser.add_argument("--only", default="", help="a part of the facts' names")
    given = parser.parse_args()
    # They log what a cancelled body has not closed, and hooks that fail.
    for name in ("sqlalchemy.pool", "async_layers"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    wrong = 0
    with server(given.url) as urls:
        for url in urls:
            with scratch(url) as place:
                wrong += _sweep(place, list(facts_of(place, given.only)), given.some)
    return 1 if wrong else 0


def _sweep(place: Scratch, facts: list[Fact], some: int) -> int:
    start, runs, found = time.monotonic(), 0, list[str]()
    for fact in facts:
        body = Body(fact.name, fact.argument(), fact.asyncio)
        result = asyncio.run(sweep(body, place, some))
        runs += result.runs
        found += result.found
    print(*found, sep="\n")  # noqa: T201 - a program's answer
    seconds = time.monotonic() - start
    print(  # noqa: T201
        f"{place.database}: {len(facts)} facts, {runs} cancelled runs, "
        f"{len(found)} wrong, in {seconds:.0f} s"
    )
    return len(found)


if __name__ == "__main__":
    sys.exit(main())
