"""The comparison of the two worlds finds what differs, and says how much."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.differential import _declared
from tests.differential.__main__ import main
from tests.differential._catalogue import Scenario, scenarios
from tests.differential._declared import undeclared, unused
from tests.differential._ground import Ground, add
from tests.differential._outcome import Category, Names, Outcome, Seen, compare
from tests.differential._run import outcome_of
from tests.differential._server import Server, logging_server
from tests.differential._sides import ASYNCPG, OURS, OURS_ASYNCIO, PSYCOPG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.differential._sides import Side

REFUSED = Seen("DataError", "DataError", "22003", invalidated=False, message="no")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Return a server whose log can be read."""
    with logging_server() as found:
        yield found


def compared(server: Server, scenario: Scenario, one: Side, other: Side) -> Category:
    """Return what a scenario's outcomes on two sides have in common."""
    return compare(*(outcome_of(scenario, side, server) for side in (one, other)))


def named(name: str) -> Scenario:
    """Return a scenario by its name."""
    return next(each for each in scenarios() if each.name == name)


def planted(body: Callable[[Ground], object]) -> Scenario:
    """Return a scenario whose body may know its world."""
    return Scenario("planted", "It differs.", body)


def test_equal_outcomes_are_identical() -> None:
    """Nothing differs."""
    assert compare(Outcome([1, REFUSED]), Outcome([1, REFUSED])) is Category.IDENTICAL


INDIA = timezone(timedelta(hours=5, minutes=30))
NOON = datetime(2020, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (REFUSED, replace(REFUSED, message="other")),
        (NOON, NOON.astimezone(INDIA)),
        (Names(("?column?",)), Names(("int4",))),
        (Decimal("1E+2"), Decimal(100)),
    ],
    ids=["message", "zone", "names", "exponent"],
)
def test_what_only_looks_different_is_cosmetic(one: object, other: object) -> None:
    """A message, a zone, the name of an unnamed column, an exponent."""
    assert compare(Outcome(one), Outcome(other)) is Category.COSMETIC


def test_other_statements_are_a_category() -> None:
    """The data are the same, the BEGIN is another."""
    other = Outcome(1, control=("BEGIN",))
    assert compare(Outcome(1), other) is Category.STATEMENTS


@pytest.mark.parametrize(
    "changed", [{"sqlstate": None}, {"pep": "Error"}, {"kind": "DBAPIError"}]
)
def test_another_class_is_a_category(changed: dict[str, Any]) -> None:
    """Both fail, with another class or SQLSTATE."""
    other = Outcome([1, replace(REFUSED, **changed)])
    assert compare(Outcome([1, REFUSED]), other) is Category.ERROR_CLASS


@pytest.mark.parametrize(
    "other",
    [
        Outcome(2),
        Outcome("1"),
        Outcome(REFUSED),
        Outcome(1, rows=("item (1)",)),
        Outcome(1, left=("idle in transaction",)),
    ],
    ids=["value", "type", "error", "rows", "left"],
)
def test_what_matters_is_a_difference(other: Outcome) -> None:
    """Another value, a one-sided error, other rows, an open transaction."""
    assert compare(Outcome(1), other) is Category.VALUE


def test_a_lost_connection_is_a_difference() -> None:
    """Both fail, and one takes its connection along."""
    lost = replace(REFUSED, invalidated=True)
    assert compare(Outcome(REFUSED), Outcome(lost)) is Category.VALUE


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("transactions: begin commits", Category.IDENTICAL),
        ("values: instants in the zone of the session", Category.COSMETIC),
        ("pools: pinged", Category.STATEMENTS),
        ("sqlstates: raised [40001]", Category.ERROR_CLASS),
        ("wrong_types: stored [greater float into integer]", Category.VALUE),
        ("autocommit: autocommit hand written begin [BEGIN]", Category.VALUE),
        ("stale: stale update of several [1]", Category.VALUE),
    ],
)
def test_stock_asyncpg_differs_as_known(
    server: Server, name: str, category: Category
) -> None:
    """One scenario of each category, on SQLAlchemy's own dialects."""
    assert category is compared(server, named(name), PSYCOPG, ASYNCPG)


@pytest.mark.parametrize(
    "name",
    [
        "savepoints: savepoint undone",
        "stale: stale update of several [1]",
        "wrong_types: stored [greater float into integer]",
        "sqlstates: raised [40001]",
        "texts: control in text [COMMIT]",
    ],
)
def test_ours_are_identical(server: Server, name: str) -> None:
    """Where stock asyncpg differs, our two dialects do not."""
    assert Category.IDENTICAL is compared(server, named(name), OURS, OURS_ASYNCIO)


def test_a_planted_statement_is_found(server: Server) -> None:
    """A savepoint too many in one world shows in the server's log."""

    def body(ground: Ground) -> None:
        with ground.engine.begin() as connection:
            add(connection, 4)
            if ground.side.asyncio:
                connection.begin_nested().commit()

    found = compared(server, planted(body), OURS, OURS_ASYNCIO)
    assert Category.STATEMENTS is found


def test_a_planted_row_is_found(server: Server) -> None:
    """A row too many in one world is seen by the observer."""

    def body(ground: Ground) -> None:
        with ground.engine.begin() as connection:
            add(connection, 5 if ground.side.asyncio else 4)

    assert Category.VALUE is compared(server, planted(body), OURS, OURS_ASYNCIO)


def test_a_planted_open_transaction_is_found(server: Server) -> None:
    """A transaction that one world leaves open in the pool is seen."""

    def body(ground: Ground) -> None:
        reset = None if ground.side.asyncio else "rollback"
        raw = ground.open(pool_reset_on_return=reset).raw_connection()
        raw.cursor().execute("INSERT INTO item VALUES (4)")
        raw.close()

    assert Category.VALUE is compared(server, planted(body), OURS, OURS_ASYNCIO)


def test_names_are_unique() -> None:
    """A scenario is found by its name."""
    names = [each.name for each in scenarios()]
    assert len(names) == len(set(names))


def test_each_scenario_says_what_it_shows() -> None:
    """Each has a docstring, and its asyncio body has the same."""
    assert [] == [each.name for each in scenarios() if not each.says]


def test_an_undeclared_difference_is_owed() -> None:
    """Cosmetic ones need not be declared."""
    found = {"new": Category.VALUE, "looks": Category.COSMETIC}
    assert ["new"] == list(undeclared(found))


def test_a_declared_difference_is_not_owed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The beginning of a name is enough."""
    monkeypatch.setattr(_declared, "DECLARED", {"reason": ("a: b [",)})
    assert [] == list(undeclared({"a: b [1]": Category.VALUE}))


def test_a_declared_difference_that_is_gone_is_owed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its reason has to go."""
    monkeypatch.setattr(_declared, "DECLARED", {"reason": ("a: b", "a: c")})
    found = {"a: b": Category.IDENTICAL, "a: c [1]": Category.VALUE}
    assert ["a: b"] == list(unused(found))


def test_the_program_fails_where_something_is_owed(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    postgresql_url: str,
) -> None:
    """What is refused differs from psycopg, if nothing declares it."""
    monkeypatch.setattr(_declared, "DECLARED", {})
    only = ["--only", "control in text [END]", "--pair", "ours asyncio"]
    code = main(["--url", postgresql_url, *only])
    owed = "psycopg / ours asyncio differ, which is not declared"
    assert (1, True) == (code, owed in capsys.readouterr().out)


def test_the_program_succeeds_where_nothing_is_owed(
    capsys: pytest.CaptureFixture[str], postgresql_url: str
) -> None:
    """The table counts one scenario."""
    only = ["--only", "transactions: begin commits", "--pair", "ours asyncio"]
    code = main(["--url", postgresql_url, "--list", *only])
    assert (0, True) == (code, "psycopg / ours asyncio" in capsys.readouterr().out)
