"""What a `text()` may not say, however it is spelled, and what it may.

An engine refuses it before the server hears of it, in either world alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import InvalidRequestError

from tests.postgresql._dialects import OURS, OURS_ASYNC, on

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tests.postgresql._dialects import Side
    from tests.postgresql._people import People

FUNCTION = """
CREATE FUNCTION {schema}.one(x int) RETURNS int LANGUAGE sql
BEGIN ATOMIC
    SELECT 1;
    SELECT CASE WHEN x > 0 THEN x ELSE 0 END;
END
"""


@pytest.mark.parametrize(
    "statement",
    [
        "BEGIN",
        "begin",
        "BEGIN;",
        ";;BEGIN",
        "BEGIN WORK",
        "BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY",
        "Start\n\tTransaction",
        "START TRANSACTION READ WRITE",
        "COMMIT",
        "Commit Work;",
        "COMMIT AND CHAIN",
        "COMMIT TRANSACTION AND NO CHAIN",
        "END",
        "end transaction",
        "END; -- the end",
        "ROLLBACK",
        "ROLLBACK WORK",
        "ROLLBACK AND CHAIN",
        "ROLLBACK /* TO */",
        "ROLLBACK -- TO SAVEPOINT x",
        "ABORT",
        "abort work",
        "PREPARE TRANSACTION 'x'",
        "COMMIT PREPARED 'x'",
        "ROLLBACK PREPARED 'x'",
        "-- why\nCOMMIT",
        "--\n--\n  COMMIT",
        "/* why */COMMIT",
        "/* nested /* SELECT 1 */ */ COMMIT",
        "/* ' */ COMMIT /* ' */",
        "COMMIT/**/",
    ],
)
@on(OURS, OURS_ASYNC)
def test_control_of_the_transaction_is_refused(side: Side, statement: str) -> None:
    """It is known by its first words, after blanks, comments and semicolons."""

    def body(connection: Connection) -> None:
        with pytest.raises(InvalidRequestError, match=r"is refused: seen [A-Z]+"):
            connection.execute(text(statement))

    side.run(body)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1; SELECT 2",
        "SELECT 1;SELECT 2;",
        "SELECT 1; -- one\nSELECT 2",
        "/* ; */ SELECT 1 /* ; */ ; /* ; */ SELECT 2",
        "SELECT ';'; SELECT 2",
        "SELECT '''' ; SELECT ''''",
        "SELECT E'\\''; SELECT 2",
        "SELECT E'\\\\'; SELECT 2",
        "SELECT '\\'; SELECT 2",
        'SELECT 1 AS "a""b"; SELECT 2',
        "SELECT $$it's$$; SELECT 2",
        "SELECT $a$ $$ $a$; SELECT 2",
        "SELECT a$b$c FROM (SELECT 1 AS a$b$c) x; SELECT 2 AS x$b$",
        "SELECT (1); (SELECT 2)",
        "DO $$ BEGIN NULL; END $$; SELECT 1",
        "SELECT 1; COMMIT",
        "SET work_mem = '4MB'; SET work_mem = '8MB'",
    ],
)
@on(OURS, OURS_ASYNC)
def test_several_statements_are_refused(side: Side, statement: str) -> None:
    """A semicolon parts two statements wherever PostgreSQL says that it does."""

    def body(connection: Connection) -> None:
        with pytest.raises(InvalidRequestError, match=r"is refused: seen"):
            connection.execute(text(statement))

    side.run(body)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT 1;", 1),
        ("SELECT 1 ; -- ; COMMIT", 1),
        (";SELECT 1; ; /* ; */", 1),
        ("SELECT '; COMMIT'", "; COMMIT"),
        ("SELECT 'it''s; COMMIT'", "it's; COMMIT"),
        ("SELECT E'it\\'s; COMMIT'", "it's; COMMIT"),
        ("SELECT e'\\\\''; COMMIT'", "\\'; COMMIT"),
        ("SELECT U&'\\0021; COMMIT'", "!; COMMIT"),
        ("SELECT $$; COMMIT$$", "; COMMIT"),
        ("SELECT $a$; $b$ ; $$ ; COMMIT$a$", "; $b$ ; $$ ; COMMIT"),
        ("SELECT $ä1$; COMMIT$ä1$", "; COMMIT"),
        ('SELECT 1 AS "; COMMIT"', 1),
        ('SELECT 1 AS "a""; COMMIT"', 1),
        ("SELECT 1 /* ; /* ; */ ; COMMIT */", 1),
        ("SELECT 1 -- ; COMMIT", 1),
        ("SELECT 2 */* ; */ 3", 6),
        ("/* COMMIT */ SELECT 1", 1),
        ("(SELECT 1)", 1),
        ("WITH one AS (SELECT 1) SELECT * FROM one", 1),
        ("SELECT CASE WHEN true THEN 1 END", 1),
        ("SELECT a$1 FROM (SELECT 1 AS a$1) AS x", 1),
        ("SELECT 7 % 4", 3),
        ("VALUES (1)", 1),
        ("SHOW transaction_isolation", "read committed"),
    ],
)
@on(OURS, OURS_ASYNC)
def test_one_statement_is_run(side: Side, statement: str, expected: object) -> None:
    """What looks like a second one is in a string, a name or a comment."""
    assert expected == side.run(lambda connection: connection.scalar(text(statement)))


@pytest.mark.parametrize(
    "statement",
    [
        "SAVEPOINT x",
        "savepoint begin_",
        "SAVEPOINT x; ",
        "SET TRANSACTION READ ONLY",
        "SET LOCAL work_mem = '4MB'",
        "DO $$ DECLARE x int := 1; BEGIN PERFORM x; END $$",
        "PREPARE transaction_x AS SELECT 1",
        "DECLARE x CURSOR FOR SELECT 1",
        ";",
        "-- nothing",
    ],
)
@on(OURS, OURS_ASYNC)
def test_statement_without_rows_is_run(side: Side, statement: str) -> None:
    """Its words are not those that end a transaction."""

    def body(connection: Connection) -> bool:
        return connection.execute(text(statement)).returns_rows

    assert not side.run(body)


@pytest.mark.parametrize(
    "back",
    [
        "ROLLBACK TO x",
        "rollback to savepoint x;",
        "ROLLBACK WORK TO x",
        "ROLLBACK TRANSACTION TO SAVEPOINT x",
        "ROLLBACK /* all of it? */ TO -- no\n x",
    ],
)
@on(OURS, OURS_ASYNC)
def test_savepoint_written_by_hand_is_run(
    side: Side, people: People, back: str
) -> None:
    """The transaction around it goes on."""

    def body(connection: Connection) -> None:
        connection.execute(people.insert("carl"))
        connection.execute(text("SAVEPOINT x"))
        connection.execute(people.insert("dora"))
        connection.execute(text(back))
        connection.execute(text("RELEASE SAVEPOINT x"))
        connection.commit()

    side.run(body)
    assert ["carl"] == people.names()


@on(OURS, OURS_ASYNC)
def test_body_of_a_function_has_statements_of_its_own(
    side: Side, people: People
) -> None:
    """What stands between BEGIN ATOMIC and its END belongs to one statement."""

    def body(connection: Connection) -> object:
        connection.execute(text(FUNCTION.format(schema=people.schema)))
        return connection.scalar(text(f"SELECT {people.schema}.one(7)"))

    assert 7 == side.run(body)


@on(OURS, OURS_ASYNC)
def test_statement_after_the_body_of_a_function_is_refused(
    side: Side, people: People
) -> None:
    """The END of a CASE is not the body's, and the body's END is an end."""
    statement = FUNCTION.format(schema=people.schema) + "; COMMIT"

    def body(connection: Connection) -> None:
        with pytest.raises(InvalidRequestError, match="is refused: seen COMMIT"):
            connection.execute(text(statement))

    side.run(body)


@on(OURS, OURS_ASYNC)
def test_rule_has_statements_of_its_own(side: Side, people: People) -> None:
    """They stand in parentheses."""
    people.tell("CREATE TABLE log (person int)")
    person, log = f"{people.schema}.person", f"{people.schema}.log"
    rule = (
        f"CREATE RULE twice AS ON INSERT TO {person} DO ALSO "  # noqa: S608
        f"(INSERT INTO {log} VALUES (new.id); INSERT INTO {log} VALUES (-new.id))"
    )

    def body(connection: Connection) -> list[int]:
        connection.execute(text(rule))
        connection.execute(people.insert("carl"))
        return list(connection.scalars(text(f"SELECT person FROM {log}")))  # noqa: S608

    assert [99, -99] == side.run(body)
