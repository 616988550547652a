"""Compare the drivers: `python -m tests.differential [--url URL] [--list]`."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from time import monotonic
from typing import TYPE_CHECKING

from tests.differential import _table
from tests.differential._catalogue import scenarios
from tests.differential._declared import undeclared, unused
from tests.differential._run import outcomes_of
from tests.differential._sides import OURS_ASYNCIO, PAIRS, PSYCOPG, SIDES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.differential._outcome import Category
    from tests.differential._sides import Side


def main(arguments: Sequence[str]) -> int:
    """Print the table; return 1 if a dialect of ours differs, or no longer does."""
    options = _options(arguments)
    began = monotonic()
    pairs = [pair for pair in PAIRS if options.pair in {pair[1].name, ""}]
    sides = [side for side in SIDES if any(side in pair for pair in pairs)]
    run = partial(outcomes_of, options.only, url=options.url)
    jobs = 1 if options.url else options.jobs  # names of prepared transactions
    with ProcessPoolExecutor(jobs, get_context("spawn")) as workers:
        outcomes = dict(zip(sides, workers.map(run, sides), strict=True))
    if options.url:
        _write("The server's log is not known: control statements are not compared.")
    chosen = [each for each in scenarios() if options.only in each.name]
    if left_out := len(chosen) - len(next(iter(outcomes.values()))):
        _write(f"The server prepares no transactions: {left_out} scenarios left out.")
    _write(_table.heading())
    owed = list[str]()
    for pair in pairs:
        found = _table.categories(*(outcomes[side] for side in pair))
        _write(_table.line(pair, found))
        owed += _owed(pair, found)
    for pair in pairs if options.list else []:
        _write(f"\n{pair[0].name} / {pair[1].name}")
        for line in _table.differences(pair, [outcomes[side] for side in pair]):
            _write(line)
    for line in owed:
        _write(line)
    _write(f"{monotonic() - began:.0f} s")
    return int(bool(owed))


def _options(arguments: Sequence[str]) -> Namespace:
    parser = ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument(
        "--url", help="of a server of yours, which keeps hstore; else the embedded one"
    )
    parser.add_argument("--list", action="store_true", help="show what differs")
    parser.add_argument("--only", default="", metavar="WORDS", help="of a name")
    parser.add_argument("--pair", default="", help="by the name of its second side")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    return parser.parse_args(arguments)


def _owed(pair: tuple[Side, Side], found: Mapping[str, Category]) -> Iterator[str]:
    """Yield what differs of ours and is not declared, and what need not be."""
    if not pair[1].ours:
        return
    for name in undeclared(found):
        yield f"{pair[0].name} / {pair[1].name} differ, which is not declared: {name}"
    if pair == (PSYCOPG, OURS_ASYNCIO):
        for begin in unused(found):
            yield f"{pair[1].name} does not differ, which is declared: {begin}"


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
