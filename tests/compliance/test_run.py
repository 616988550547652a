from __future__ import annotations

from typing import TYPE_CHECKING

from tests.compliance.run import trouble

if TYPE_CHECKING:
    from tests.compliance.compare import Outcomes

PASSED: Outcomes = {"A::a": "passed"}
FAILED: Outcomes = {"A::a": "passed", "A::b": "failed"}


def test_finished_run_is_no_trouble() -> None:
    """A run that ended by itself is judged by its tests."""
    assert trouble(0, PASSED) is None
    assert trouble(1, FAILED) is None


def test_error_without_failed_test_is_trouble() -> None:
    """What a test leaves open may warn after the last test, and only there."""
    assert "ended with exit code 1, though no test failed" == trouble(1, PASSED)


def test_run_without_outcomes_is_trouble() -> None:
    """A run in which no test ran proves nothing, whatever its exit code is."""
    assert "ended with exit code 0, unfinished" == trouble(0, {})
    assert "ended with exit code 1, unfinished" == trouble(1, {})


def test_interrupted_run_is_trouble() -> None:
    """The outcomes of a run that did not reach its end are not compared."""
    assert "ended with exit code 2, unfinished" == trouble(2, FAILED)


def test_endless_run_is_trouble() -> None:
    """A run that is ended has no exit code."""
    assert "ended after 900 s, unfinished" == trouble(None, FAILED)
