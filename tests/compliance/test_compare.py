from __future__ import annotations

from tests.compliance.compare import Outcomes, failed, lost, summary, worse


def test_worst_of_setup_call_and_teardown_counts() -> None:
    """A test that passed and whose tear-down failed has failed."""
    assert worse("passed", "failed") == "failed"
    assert worse("skipped", "passed") == "skipped"


def test_summary_counts_each_outcome() -> None:
    """Three numbers say how a run went, none of them left out."""
    outcomes: Outcomes = {"A::a": "passed", "A::b": "passed", "B::a": "skipped"}
    assert "   2 passed,    1 skipped,    0 failed" == summary(outcomes)


def test_failed_tests_are_named() -> None:
    """What failed is told by name, in order."""
    outcomes: Outcomes = {"B::b": "failed", "A::a": "passed", "A::b": "failed"}
    assert ["A::b", "B::b"] == failed(outcomes)


def test_skipped_test_that_stock_runs_is_lost() -> None:
    """A skip is owed where SQLAlchemy's own dialect does not skip."""
    stock: Outcomes = {"A::a": "passed", "A::b": "failed", "A::c": "passed"}
    ours: Outcomes = {"A::a": "skipped", "A::b": "skipped", "A::c": "failed"}
    assert ["A::a", "A::b"] == lost(stock, ours)


def test_missing_test_that_stock_runs_is_lost() -> None:
    """A class whose requirement no dialect meets is never collected."""
    assert ["A::a"] == lost({"A::a": "passed", "A::b": "skipped"}, {})


def test_equal_numbers_hide_no_lost_test() -> None:
    """Tests are compared by name: one gained makes up for none lost."""
    stock: Outcomes = {"A::a": "passed", "A::b": "skipped"}
    ours: Outcomes = {"A::a": "skipped", "A::b": "passed"}
    assert ["A::a"] == lost(stock, ours)
