"""Each fault once, on each driver, under a short load: nothing of it is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults._run import FAULTS

if TYPE_CHECKING:
    from tests.faults.conftest import Happen

PAIRS = [(name, one) for name, fault in FAULTS.items() for one in fault.drivers]


@pytest.mark.parametrize(("fault", "driver"), PAIRS)
def test_a_fault_takes_no_money_and_leaves_nothing(fault: str, happen: Happen) -> None:
    """What was acknowledged is there once, the rest whole or absent; it works again."""
    verdict = happen(fault)
    assert {} == verdict.problems()
    assert FAULTS[fault].loses or verdict.unknown == 0
