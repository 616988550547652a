"""Run faults on drivers, and print a row for each pair.

    python -m tests.faults
    python -m tests.faults --driver asyncpg --fault "disk full" --times 20 --seconds 1

PostgreSQL is started for it; `ASYNC_LAYERS_TEST_MYSQL_URL` names a MariaDB.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from tests.faults._drivers import DRIVERS
from tests.faults._ground import UnavailableError, mysql_ground, own_ground
from tests.faults._promotion import replicated_ground
from tests.faults._run import FAULTS, run

if TYPE_CHECKING:
    from tests.faults._ground import Ground
    from tests.faults._verdict import Verdict

COLUMNS: Final = (
    *("fault", "driver", "times", "acknowledged", "failed", "unknown", "lost"),
    *("duplicated", "half", "wrong sums", "lies", "connections left"),
    *("tasks, threads left", "longest held (s)", "recovered (s)"),
)


def write(line: str = "") -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run what is asked for; 1 if anything is wrong."""
    asked = _arguments()
    # What is lost is logged by the pool and the drivers; here it is what is wanted.
    logging.disable(logging.CRITICAL)
    write("| " + " | ".join(COLUMNS) + " |")
    write("|---" * len(COLUMNS) + "|")
    wrong, errors, skipped = list[str](), Counter[str](), list[str]()
    with ExitStack() as stack:
        grounds: dict[str, Ground] = {}
        for name in asked.fault:
            for driver in asked.driver:
                if driver not in FAULTS[name].drivers:
                    continue
                try:
                    verdict = _run(name, driver, asked, grounds, stack)
                except UnavailableError as error:
                    skipped.append(f"{name}, {driver}: {error}")
                    continue
                write(_row(verdict))
                errors.update(verdict.errors)
                if verdict.problems():
                    wrong.append(f"{name}, {driver}: {verdict.problems()}")
    write()
    write("Errors: " + ", ".join(f"{n} x {one}" for one, n in errors.most_common()))
    for one in skipped:
        write(f"Not run: {one}")
    for one in wrong:
        write(f"Wrong: {one}")
    return 1 if wrong else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--driver", action="append", choices=DRIVERS)
    parser.add_argument("--fault", action="append", choices=FAULTS)
    parser.add_argument("--times", type=int, default=1, help="how often each happens")
    parser.add_argument(
        "--seconds", type=float, default=0, help="of load before each happens"
    )
    parser.add_argument(
        "--deadline", type=float, help="seconds for each transfer, where it has none"
    )
    asked = parser.parse_args()
    asked.driver = asked.driver or list(DRIVERS)
    asked.fault = asked.fault or list(FAULTS)
    return asked


def _run(
    fault: str,
    driver: str,
    asked: argparse.Namespace,
    grounds: dict[str, Ground],
    stack: ExitStack,
) -> Verdict:
    """Run a fault; a promotion happens once, to servers of its own."""
    if fault == "promotion":
        with replicated_ground() as ground:
            return run(
                fault, driver, ground, seconds=asked.seconds, deadline=asked.deadline
            )
    return run(
        fault,
        driver,
        _ground(driver, grounds, stack),
        times=asked.times,
        seconds=asked.seconds,
        deadline=asked.deadline,
    )


def _ground(driver: str, grounds: dict[str, Ground], stack: ExitStack) -> Ground:
    """Return the server of a driver, started or found once."""
    database = DRIVERS[driver].database
    if database not in grounds:
        if database == "postgresql":
            made = own_ground()
        else:
            made = mysql_ground(os.environ.get("ASYNC_LAYERS_TEST_MYSQL_URL", ""))
        grounds[database] = stack.enter_context(made)
    return grounds[database]


def _row(verdict: Verdict) -> str:
    left = verdict.left
    cells = (
        verdict.fault,
        verdict.driver,
        verdict.times,
        verdict.acknowledged,
        verdict.errors.total(),
        verdict.unknown,
        *(len(one) for one in (verdict.lost, verdict.duplicated, verdict.half)),
        *(len(one) for one in (verdict.sums, verdict.lies)),
        left.lent + left.open + left.connections,
        len(left.tasks) + len(left.threads),
        f"{verdict.held:.2f}",
        f"{verdict.recovered:.2f}",
    )
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    sys.exit(main())
