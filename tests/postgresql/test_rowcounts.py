"""How many rows a statement changed, and what the ORM makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import bindparam, delete, insert, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_or_not
from sqlalchemy.exc import SAWarning
from sqlalchemy.orm.exc import StaleDataError

from tests.postgresql._dialects import ASYNCPG, wrong_on

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Connection, Executable
    from sqlalchemy.orm import Session

    from tests.postgresql._dialects import Side
    from tests.postgresql._people import People

UNCOUNTED = "executemany counts no rows"
UNKNOWN = "only the tags of SELECT, INSERT, UPDATE and DELETE are read"


def counted(side: Side, statement: Executable, parameters: Any = None) -> int:
    """Return the rows that the driver counts."""

    def body(connection: Connection) -> int:
        return connection.execute(statement, parameters).rowcount

    return side.run(body, preserve_rowcount=True)


def ids(*numbers: int) -> list[dict[str, int]]:
    """Return a set of parameters for each of the numbers."""
    return [{"number": number} for number in numbers]


def renaming(people: People) -> Executable:
    """Return the UPDATE of one person."""
    table = people.table
    return update(table).where(table.c.id == bindparam("number")).values(name="emma")


@wrong_on(ASYNCPG, UNCOUNTED)
@pytest.mark.parametrize(
    ("present", "expected"), [(2, 2), (1, 1), (0, 0)], ids=["all", "some", "none"]
)
def test_updates_of_several_are_counted(
    side: Side, people: People, present: int, expected: int
) -> None:
    """A set of parameters that matches no row counts for nothing."""
    people.add(present)
    assert expected == counted(side, renaming(people), ids(1, 2))


def test_list_of_one_is_counted(side: Side, people: People) -> None:
    """A list with one set of parameters counts as that one statement does."""
    people.add(1)
    assert [1, 0] == [counted(side, renaming(people), ids(n)) for n in (1, 2)]


@wrong_on(ASYNCPG, UNCOUNTED)
def test_updates_of_thousands_are_counted(side: Side, people: People) -> None:
    """One row of 5,000 is missing, and one is missing in the count."""
    people.add(4_999)
    numbers = range(1, 5_001)
    assert 4_999 == counted(side, renaming(people), ids(*numbers))


@wrong_on(ASYNCPG, UNCOUNTED)
def test_update_of_more_rows_is_counted_as_such(side: Side, people: People) -> None:
    """Rows are counted, not sets of parameters; counts of two digits are read."""
    people.add(25)
    table = people.table
    statement = (
        update(table).where(table.c.id <= bindparam("number")).values(name="emma")
    )
    assert 37 == counted(side, statement, ids(12, 25))


@wrong_on(ASYNCPG, UNCOUNTED)
def test_deletes_of_several_are_counted(side: Side, people: People) -> None:
    """A row that is not there was not deleted."""
    people.add(2)
    table = people.table
    statement = delete(table).where(table.c.id == bindparam("number"))
    assert 2 == counted(side, statement, ids(1, 2, 3))


@wrong_on(ASYNCPG, UNCOUNTED)
def test_inserts_of_several_are_counted(side: Side, people: People) -> None:
    """The tag of INSERT has an OID before the count."""
    rows = [{"id": number, "name": "emma"} for number in (1, 2, 3)]
    assert 3 == counted(side, insert(people.table), rows)


@wrong_on(ASYNCPG, UNCOUNTED)
def test_rows_in_conflict_are_not_counted(side: Side, people: People) -> None:
    """ON CONFLICT DO NOTHING inserts nothing for a row that is there."""
    people.add(1)
    statement = insert_or_not(people.table).on_conflict_do_nothing()
    rows = [{"id": number, "name": "emma"} for number in (1, 2, 2, 3)]
    assert 2 == counted(side, statement, rows)


@wrong_on(ASYNCPG, UNCOUNTED)
def test_rows_that_a_trigger_drops_are_not_counted(side: Side, people: People) -> None:
    """A BEFORE trigger that returns NULL leaves the row as it is."""
    people.add(2)
    people.tell(
        """
        CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN IF OLD.id = 1 THEN RETURN NULL; END IF; RETURN NEW; END $$;
        CREATE TRIGGER keep BEFORE UPDATE ON person
        FOR EACH ROW EXECUTE FUNCTION keep();
        """
    )
    assert 1 == counted(side, renaming(people), ids(1, 2))


def test_insert_of_a_select_is_counted(side: Side, people: People) -> None:
    """One statement, three rows."""
    people.add(3)
    table = people.table
    new = select(table.c.id + 3, literal("emma"))
    assert 3 == counted(side, insert(table).from_select(["id", "name"], new))


MERGE = """
MERGE INTO {table} AS old USING (SELECT CAST(:number AS integer) AS id) AS new
ON old.id = new.id
WHEN MATCHED AND old.id > 1 THEN UPDATE SET name = 'emma'
WHEN MATCHED THEN DO NOTHING
WHEN NOT MATCHED THEN INSERT (id, name) VALUES (new.id, 'emma')
"""


@wrong_on(ASYNCPG, UNKNOWN)
def test_merge_is_counted(side: Side, people: People) -> None:
    """A row that was updated, one that was inserted, one that was left alone."""
    people.add(2)
    statement = text(MERGE.format(table=people.table))
    found = [counted(side, statement, {"number": number}) for number in (2, 3, 1)]
    assert [1, 1, 0] == found


@wrong_on(ASYNCPG, UNCOUNTED)
def test_merges_are_counted(side: Side, people: People) -> None:
    """What each of several MERGEs did is added up."""
    people.add(2)
    statement = text(MERGE.format(table=people.table))
    assert 2 == counted(side, statement, ids(1, 2, 3))


def test_statement_that_counts_nothing_has_no_count(side: Side) -> None:
    """The tag of SET has no number."""
    assert -1 == counted(side, text("SET LOCAL work_mem = '4MB'"))


@wrong_on(ASYNCPG, UNCOUNTED)
def test_row_deleted_elsewhere_is_noticed_among_several(
    side: Side, people: People
) -> None:
    """The flush of several UPDATEs of which one finds no row changes nothing."""
    people.add(3)
    person = people.mapped()

    def body(session: Session) -> None:
        for one in session.scalars(select(person)).all():
            one.name = "emma"
        people.tell("DELETE FROM person WHERE id = 2")
        with pytest.raises(StaleDataError, match=r"expected to update 3 .* 2 were"):
            session.commit()

    side.session(body)
    assert ["anna", "anna"] == people.names()


def test_row_changed_elsewhere_is_noticed_among_several(
    side: Side, people: People
) -> None:
    """A version that is no longer the one that was read is a stale row.

    Where executemany counts nothing, SQLAlchemy updates versioned rows one by one.
    """
    people.add(3)
    person = people.mapped(versioned=True)

    def body(session: Session) -> None:
        for one in session.scalars(select(person)).all():
            one.name = "emma"
        people.tell("UPDATE person SET name = 'otto', version = 2 WHERE id = 2")
        with pytest.raises(StaleDataError):
            session.commit()

    side.session(body)
    assert ["anna", "otto", "anna"] == people.names()


@wrong_on(ASYNCPG, UNCOUNTED)
def test_deletion_of_a_row_deleted_elsewhere_is_noticed(
    side: Side, people: People
) -> None:
    """Several DELETEs of which one finds no row are a warning, as for one alone."""
    people.add(3)
    person = people.mapped()

    def body(session: Session) -> None:
        for one in session.scalars(select(person)).all():
            session.delete(one)
        people.tell("DELETE FROM person WHERE id = 2")
        with pytest.warns(SAWarning, match=r"expected to delete 3 .* 2 were"):
            session.commit()

    side.session(body)


def test_stale_row_alone_is_noticed(side: Side, people: People) -> None:
    """One UPDATE that finds no row was never a matter of executemany."""
    people.add(1)
    person = people.mapped()

    def body(session: Session) -> None:
        session.get_one(person, 1).name = "emma"
        people.tell("DELETE FROM person")
        with pytest.raises(StaleDataError):
            session.commit()

    side.session(body)
