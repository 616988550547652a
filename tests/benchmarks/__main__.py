"""Run the benchmarks: `python -m tests.benchmarks [--postgres URL] [--json FILE]`."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tests.benchmarks import (
    bench_helpers,
    bench_helpers_async,
    bench_postgresql,
    bench_postgresql_async,
    bench_sqlite_table,
    bench_start,
    bench_trace,
)
from tests.benchmarks._measure import Ratio, compare

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from tests.benchmarks._measure import Case
    from tests.benchmarks._rounds import Line, Standing, Verdict
    from tests.benchmarks.bench_start import Duration

    Result = Ratio | Duration | Line | Standing | Verdict

POSTGRES = "postgresql://postgres@127.0.0.1:5432/test"
PARTS = ("helpers", "sqlite", "postgresql", "trace", "import", "verify")
FEWEST_PAIRS = 9


def main() -> int:
    """Print a table for each part; return 1 if a target is missed."""
    options = _options()
    report: dict[str, Sequence[Mapping[str, object]]] = {}
    missed = False
    with TemporaryDirectory() as directory:
        urls = [f"sqlite:///{directory}/bench.db", options.postgres]
        for title, results in _parts(options, urls):
            _write(f"\n{title}\n")
            rows: list[Result] = []
            for one in results:
                _write(str(one))
                rows.append(one)
                missed = missed or one.missed
            report[title] = [asdict(one) | {"missed": one.missed} for one in rows]
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=2), encoding="utf-8")
    return int(missed)


def _options() -> Namespace:
    parser = ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all")
    parser.add_argument("--postgres", metavar="URL", default=POSTGRES)
    parser.add_argument("--pairs", type=int, default=31, help="of samples")
    parser.add_argument("--json", metavar="FILE", help="to write the results to")
    options = parser.parse_args()
    if options.pairs < FEWEST_PAIRS:
        parser.error(f"--pairs {options.pairs} is too few; write {FEWEST_PAIRS}")
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"{min(unknown)!r} is no part; write some of {', '.join(PARTS)}")
    options.parts = options.parts or PARTS
    return options


def _parts(
    options: Namespace, urls: list[str]
) -> Iterator[tuple[str, Iterator[Result]]]:
    """Yield the title of each table, and its results as they come."""
    pairs: int = options.pairs
    for url in urls:
        database = url.partition(":")[0]
        if "helpers" in options.parts:
            yield f"helpers, {database}", _compared(bench_helpers.cases(url), pairs)
            yield (
                f"helpers, {database}, asyncio",
                _compared(bench_helpers_async.cases(url), pairs),
            )
        if "trace" in options.parts:
            yield f"trace on, {database}", _compared(bench_trace.cases(url), pairs)
    if "sqlite" in options.parts:
        yield "sqlite dialects", bench_sqlite_table.results(pairs)
    if "postgresql" in options.parts:
        for title, part in (
            ("postgresql dialects", bench_postgresql),
            ("postgresql dialects, asyncio", bench_postgresql_async),
        ):
            yield title, _compared(part.cases(options.postgres), pairs)
    if "trace" in options.parts:
        yield "trace off, sqlite", _compared(bench_trace.off_cases(), pairs)
    if "import" in options.parts:
        yield "import", iter(bench_start.importing(pairs))
    if "verify" in options.parts:
        yield "verify", map(bench_start.verifying, (None, options.postgres))


def _compared(lent: AbstractContextManager[list[Case]], pairs: int) -> Iterator[Ratio]:
    with lent as cases:
        for case in cases:
            yield compare(case, pairs)


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
