"""Run SQLAlchemy's compliance suite: `python -m tests.compliance [OPTION ...]`.

Each of our dialects has to pass every test that it runs, and to run every test that
SQLAlchemy's own dialect of the same world runs. Options are pytest's, such as
`-k Insert`, and hold for each of the four runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import TYPE_CHECKING

from tests.compliance.compare import failed, lost, summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.compliance.compare import Outcomes

# SQLAlchemy's own dialect and ours: in the blocking world, in the asyncio world.
PAIRS = (
    ("sqlite+pysqlite", "sqlite+async_layers"),
    ("sqlite+aiosqlite", "sqlite+async_layers_async"),
)
PATIENCE = 900  # seconds; a run takes about 20
ENDED = {0, 1}  # pytest's exit codes: all passed, some failed
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Run:
    """What became of the suite on one dialect."""

    dialect: str
    outcomes: Outcomes
    broken: str | None = None


def main(options: Sequence[str]) -> int:
    """Print the counts of each run and what is owed; return 1 if anything is."""
    owed = list[str]()
    for stock, ours in PAIRS:
        owed += _owed(_run(stock, options), _run(ours, options))
    for line in owed:
        _write(line)
    return int(bool(owed))


def _run(dialect: str, options: Sequence[str]) -> Run:
    began = monotonic()
    with TemporaryDirectory() as folder:
        output, outcomes = Path(folder, "output.txt"), Path(folder, "outcomes.json")
        command = [*_pytest(dialect), f"--outcomes={outcomes}", *options]
        broken = _finish(command, output)
        found = {} if broken else json.loads(outcomes.read_text(encoding="utf-8"))
        took = monotonic() - began
        _write(f"{dialect:26}{broken or summary(found)} in {took:.0f} s")
        if broken or failed(found):
            _write(output.read_text(encoding="utf-8"))
    return Run(dialect, found, broken)


def _pytest(dialect: str) -> list[str]:
    """Return a command of pytest; the file of the database is in its folder."""
    return [
        *(sys.executable, "-m", "pytest", "-q", "--tb=short"),
        *(f"--config-file={HERE / 'test.cfg'}", str(HERE / "suite.py")),
        f"--dburi={dialect}:///compliance.db",
    ]


def _finish(command: Sequence[str], output: Path) -> str | None:
    """Run a command beside its output; return what kept it from its end."""
    root = str(HERE.parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    with output.open("w", encoding="utf-8") as stream:
        try:
            code = subprocess.run(
                command,
                cwd=output.parent,
                env=os.environ | {"PYTHONPATH": path},
                stdout=stream,
                stderr=subprocess.STDOUT,
                timeout=PATIENCE,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return f"ended after {PATIENCE} s, unfinished"
    return None if code in ENDED else f"ended with exit code {code}, unfinished"


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
