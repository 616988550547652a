"""Run the suite on one dialect, in a process and a folder of its own."""

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

from tests.compliance.compare import failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.compliance.compare import Outcomes

PATIENCE = 900  # seconds; a run takes about 20
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Run:
    """What became of the suite on one dialect."""

    dialect: str
    outcomes: Outcomes
    output: str
    seconds: float
    broken: str | None = None


def run_suite(dialect: str, url: str, options: Sequence[str]) -> Run:
    """Return what became of the suite on the database that a URL names."""
    began = monotonic()
    with TemporaryDirectory() as folder:
        output, written = Path(folder, "output.txt"), Path(folder, "outcomes.json")
        code = _finish([*_pytest(url), f"--outcomes={written}", *options], output)
        outcomes: Outcomes = (
            json.loads(written.read_text("utf-8")) if written.exists() else {}
        )
        return Run(
            dialect,
            outcomes,
            output.read_text("utf-8"),
            monotonic() - began,
            trouble(code, outcomes),
        )


def trouble(code: int | None, outcomes: Outcomes) -> str | None:
    """Return what is wrong with a run besides the tests that failed.

    Of pytest's exit codes 0 says that all passed, and 1 that some failed, or that
    it ended by an exception: what a test leaves open may warn after the last one.
    """
    if code is None:
        return f"ended after {PATIENCE} s, unfinished"
    if code == 1 and outcomes and not failed(outcomes):
        return "ended with exit code 1, though no test failed"
    if code > 1 or not outcomes:
        return f"ended with exit code {code}, unfinished"
    return None


def _pytest(url: str) -> list[str]:
    return [
        *(sys.executable, "-m", "pytest", "-q", "--tb=short"),
        *(f"--config-file={HERE / 'test.cfg'}", str(HERE / "suite.py")),
        f"--dburi={url}",
    ]


def _finish(command: Sequence[str], output: Path) -> int | None:
    """Run a command beside its output; return its exit code, if it ended in time."""
    root = str(HERE.parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    with output.open("w", encoding="utf-8") as stream:
        try:
            return subprocess.run(
                command,
                cwd=output.parent,
                env=os.environ | {"PYTHONPATH": path},
                stdout=stream,
                stderr=subprocess.STDOUT,
                timeout=PATIENCE,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return None
