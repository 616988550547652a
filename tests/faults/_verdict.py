"""Compare what workers were told with what the bank holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.faults._bank import ACCOUNTS, BALANCE

if TYPE_CHECKING:
    from tests.faults._bank import Truth
    from tests.faults._book import Attempt, Book

RECOVERED: Final = 5.0  # seconds after the end of a fault, at most
OVER: Final = 1.0  # seconds over its deadline that a caller is held, at most


@dataclass
class Left:
    """What is left when the load is over and its engine is disposed of."""

    lent: int = 0  # connections that the pool still misses
    open: int = 0  # connections that the server still has in a transaction
    connections: int = 0
    tasks: list[str] = field(default_factory=list[str])
    threads: list[str] = field(default_factory=list[str])

    def __bool__(self) -> bool:
        """Say whether anything is left."""
        return bool(
            self.lent or self.open or self.connections or self.tasks or self.threads
        )


@dataclass
class Verdict:
    """How one fault went on one driver."""

    fault: str
    driver: str
    times: int
    deadline: float | None
    acknowledged: int
    errors: Counter[str]
    unknown: int
    lost: list[str]
    duplicated: list[str]
    half: list[int]
    sums: list[int]  # each wrong one that was seen
    lies: list[str]
    strange: list[str]
    left: Left
    held: float
    recovered: float

    def problems(self) -> dict[str, object]:
        """Return what must not be, by name."""
        late = self.recovered if self.recovered > RECOVERED else None
        over = self.deadline and self.held > self.deadline + OVER
        found: dict[str, object] = {
            "lost": self.lost,
            "duplicated": self.duplicated,
            "half": self.half,
            "sums": self.sums,
            "lies": self.lies,
            "strange": self.strange,
            "left": self.left,
            "late": late,
            "held": self.held if over else None,
        }
        return {name: what for name, what in found.items() if what}


def judge(  # noqa: PLR0913 - what a verdict is made of
    fault: str,
    driver: str,
    book: Book,
    truth: Truth,
    *,
    sums: list[int],
    left: Left,
    recovered: list[float],
    deadline: float | None = None,
) -> Verdict:
    """Compare what workers were told with what is true."""
    told = book.attempts
    names = {one.transfer.name for one in told if one.acknowledged}
    wrong = [] if truth.total == ACCOUNTS * BALANCE else [truth.total]
    return Verdict(
        fault=fault,
        driver=driver,
        times=len(recovered),
        deadline=deadline,
        acknowledged=len(names),
        errors=Counter(one.error for one in told if one.error),
        unknown=sum(one.outcome == "unknown" for one in told),
        lost=sorted(names - set(truth.ledger)),
        duplicated=sorted(name for name, count in truth.ledger.items() if count > 1),
        half=truth.halves,
        sums=sums + wrong,
        lies=[lie for one in told if (lie := _lie(one, truth))],
        strange=sorted({one.error for one in told if one.error and one.strange}),
        left=left,
        held=max((one.ended - one.began for one in told), default=0),
        recovered=max(recovered, default=0),
    )


def _lie(attempt: Attempt, truth: Truth) -> str | None:
    """Return what is wrong about an outcome."""
    name = attempt.transfer.name
    wrong = _wrong(attempt, there=truth.ledger[name] > 0)
    told = attempt.error or "acknowledged"
    return wrong and f"{name} {attempt.outcome}, {told}: {wrong}"


def _wrong(attempt: Attempt, *, there: bool) -> str | None:
    wrong: str | None = None
    match attempt.outcome:
        case "committed" if not there:
            wrong = "it is not there"
        case "rolled back" if there:
            wrong = "it is there"
        case "unknown" | "rolled back" if attempt.acknowledged:
            wrong = "and it returned"
        case "unknown" if not attempt.may_be_unknown:
            wrong = "its connection was not lost"
        case None if attempt.acknowledged or there:
            wrong = "it says nothing"
        case _ if attempt.heard != (attempt.outcome == "committed"):
            wrong = f"its hook ran {attempt.heard} times"
    return wrong
