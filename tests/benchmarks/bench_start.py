"""How long a fresh process takes to import the package, and to verify all facts."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median

IMPORTS = {"ours": "async_layers", "theirs": "sqlalchemy.ext.asyncio"}
IMPORT_TARGET = 15.0
VERIFY_TARGETS = {"sqlite": 15.0, "postgresql": 60.0}


@dataclass(frozen=True)
class Duration:
    """How long something took, and how long it may take."""

    name: str
    took: float
    target: float
    unit: str

    @property
    def missed(self) -> bool:
        """Say whether it took longer than it may."""
        return self.took > self.target

    def __str__(self) -> str:
        """Return the duration as a line of a table."""
        return (
            f"{self.name:<32}{self.took:>9.1f} {self.unit} (at most {self.target})"
            f"{'  MISSED' * self.missed}"
        )


def importing(pairs: int) -> list[Duration]:
    """Return the milliseconds above the import of SQLAlchemy's own asyncio."""
    seen = {side: list[float]() for side in IMPORTS}
    for number in range(pairs + 1):
        sides = list(IMPORTS.items())
        for side, module in sides if number % 2 else reversed(sides):
            took = _import(module)
            if number:  # the first fills the disk's cache
                seen[side].append(took)
    above = [a - b for a, b in zip(seen["ours"], seen["theirs"], strict=True)]
    alone = median(seen["theirs"])
    return [
        Duration("import sqlalchemy.ext.asyncio", alone, float("inf"), "ms"),
        Duration("import async_layers, above it", median(above), IMPORT_TARGET, "ms"),
    ]


def _import(module: str) -> float:
    program = (
        "import time; start = time.perf_counter(); "
        f"import {module}; print((time.perf_counter() - start) * 1000)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return float(ended.stdout)


def verifying(url: str | None) -> Duration:
    """Return the seconds that `async-layers verify` takes, its start included."""
    command = [sys.executable, "-m", "async_layers", "verify"]
    start = time.perf_counter()
    ended = subprocess.run(
        [*command, "--url", url] if url else command, check=False, capture_output=True
    )
    took = time.perf_counter() - start
    database = url.partition(":")[0].partition("+")[0] if url else "sqlite"
    holds = "" if ended.returncode == 0 else f" (exit {ended.returncode})"
    took = took if ended.returncode == 0 else float("inf")  # what fails is not quick
    target = VERIFY_TARGETS.get(database, 60.0)
    return Duration(f"verify {database}{holds}", took, target, "s")
