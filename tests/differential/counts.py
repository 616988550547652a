"""Counted rows, executemany, RETURNING."""
# ruff: noqa: D401 - a scenario says what is, it orders nothing

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tests.differential._catalogue import cases
from tests.differential._ground import ITEM
from tests.differential._outcome import Names

if TYPE_CHECKING:
    from tests.differential._ground import Ground

_COUNTED = {
    "insert": "INSERT INTO item VALUES (4)",
    "insert of several": "INSERT INTO item VALUES (4), (5)",
    "insert of a query": "INSERT INTO item SELECT id + 10 FROM item",
    "insert of nothing": "INSERT INTO item SELECT * FROM item WHERE false",
    "insert ignored": "INSERT INTO item VALUES (1), (4) ON CONFLICT DO NOTHING",
    "update": "UPDATE item SET n = 0",
    "update of nothing": "UPDATE item SET n = 0 WHERE id = 99",
    "delete": "DELETE FROM item WHERE id > 1",
    "select": "SELECT * FROM item",
    "select of nothing": "SELECT * FROM item WHERE false",
    "values": "VALUES (1), (2)",
    "table": "TABLE item",
    "with update": "WITH u AS (UPDATE item SET n = 0 RETURNING id) SELECT * FROM u",
    "merge": (
        "MERGE INTO item USING (VALUES (1), (7)) v (id) ON item.id = v.id"
        " WHEN MATCHED THEN UPDATE SET n = 0 WHEN NOT MATCHED THEN INSERT VALUES (v.id)"
    ),
    "create table": "CREATE TABLE x (id int)",
    "create table as": "CREATE TABLE x AS SELECT * FROM item",
    "select into": "SELECT * INTO x FROM item",
    "truncate": "TRUNCATE item",
    "set": "SET LOCAL work_mem = '1MB'",
    "show": "SHOW work_mem",
    "explain": "EXPLAIN (COSTS OFF) SELECT 1",
    "call": "CALL nop()",
    "do": "DO 'BEGIN END'",
    "fetch": "FETCH 2 FROM c",
    "move": "MOVE 2 FROM c",
    "refresh": "REFRESH MATERIALIZED VIEW m",
    "empty": " ",
    "comment": "-- nothing",
}


@cases(*_COUNTED)
def counted(ground: Ground, name: str) -> object:
    """How many rows a statement says that it touched."""
    ground.observe("CREATE PROCEDURE nop() LANGUAGE sql AS 'SELECT 1'")
    ground.observe("CREATE MATERIALIZED VIEW m AS SELECT * FROM item")
    with ground.engine.begin() as connection:
        connection.execute(text("DECLARE c CURSOR FOR SELECT id FROM item ORDER BY 1"))
        result: Any = connection.execute(text(_COUNTED[name]))
        told = [result.rowcount, result.returns_rows]
        return [*told, result.all() if result.returns_rows else None]


_NO_1, _NO_2, _NO_3 = ({"i": number} for number in (1, 2, 99))


@cases(
    (1, [_NO_1]), (2, [_NO_1, _NO_2]), (3, [_NO_1, _NO_2, _NO_3]), (0, [_NO_3, _NO_3])
)
def executemany_of_update(ground: Ground, _: int, given: Any) -> object:
    """An executemany counts all its rows, and no more."""
    statement = update(ITEM).where(ITEM.c.id == bindparam("i")).values(n=0)
    with ground.engine.begin() as connection:
        result: Any = connection.execute(statement, given)
        return [result.rowcount, result.supports_sane_multi_rowcount()]


def executemany_of_delete(ground: Ground) -> object:
    """Deleted rows are counted."""
    statement = delete(ITEM).where(ITEM.c.n > bindparam("least"))
    with ground.engine.begin() as connection:
        given = [{"least": 25}, {"least": 5}, {"least": 5}]
        result: Any = connection.execute(statement, given)
        return result.rowcount


@cases(1, 2, 1500)
def executemany_of_insert(ground: Ground, how_many: int) -> object:
    """Inserted rows are counted, or are not."""
    with ground.engine.begin() as connection:
        given = [{"id": 10 + number} for number in range(how_many)]
        result: Any = connection.execute(insert(ITEM), given)
        return result.rowcount


def executemany_preserving(ground: Ground) -> object:
    """preserve_rowcount keeps the count of an INSERT."""
    with ground.engine.begin() as connection:
        connection.execution_options(preserve_rowcount=True)
        result: Any = connection.execute(insert(ITEM), [{"id": 4}, {"id": 5}])
        return result.rowcount


def executemany_of_text(ground: Ground) -> object:
    """A text() with several rows of parameters."""
    statement = text("INSERT INTO item (id, name) VALUES (:i, :s)")
    with ground.engine.begin() as connection:
        given: Any = [{"i": 4, "s": "x"}, {"i": 5, "s": None}]
        result: Any = connection.execute(statement, given)
        return result.rowcount


def executemany_of_select(ground: Ground) -> object:
    """A SELECT with several rows of parameters."""
    with ground.engine.begin() as connection:
        given = [{"x": 1}, {"x": 2}]
        sql = text("SELECT CAST(:x AS int)")
        return ground.attempt(lambda: connection.execute(sql, given).all())


def executemany_by_driver(ground: Ground) -> object:
    """exec_driver_sql() with several rows of parameters."""
    psycopg = ground.side.driver == "psycopg"
    given = "%s" if psycopg else "$1"
    sql = f"INSERT INTO item (id) VALUES ({given})"  # noqa: S608 - a placeholder
    with ground.engine.begin() as connection:
        result: Any = connection.exec_driver_sql(sql, [(4,), (5,)])
        return result.rowcount


def insert_returning(ground: Ground) -> object:
    """RETURNING of one row; the count is the rows' number."""
    with ground.engine.begin() as connection:
        statement = insert(ITEM).values(id=4).returning(ITEM.c.id, ITEM.c.n)
        result: Any = connection.execute(statement)
        return [result.rowcount, result.all()]


@cases("in order", "in any order")
def insert_many_returning(ground: Ground, order: str) -> object:
    """RETURNING of many rows, sorted by their parameters or not."""
    in_order = order == "in order"
    with ground.engine.begin() as connection:
        statement = insert(ITEM).returning(ITEM.c.id, sort_by_parameter_order=in_order)
        given = [{"id": number} for number in (9, 4, 7)]
        result = connection.execute(statement, given)
        return sorted(result.scalars()) if not in_order else result.all()


def update_returning(ground: Ground) -> object:
    """UPDATE ... RETURNING gives rows and their number."""
    with ground.engine.begin() as connection:
        statement = update(ITEM).values(n=0).returning(ITEM.c.id)
        result: Any = connection.execute(statement)
        return [result.rowcount, sorted(result.scalars())]


def upsert_counts(ground: Ground) -> object:
    """ON CONFLICT DO UPDATE of several rows."""
    with ground.engine.begin() as connection:
        statement = upsert(ITEM).values([{"id": 1, "n": 7}, {"id": 4, "n": 7}])
        done = statement.on_conflict_do_update(
            index_elements=[ITEM.c.id], set_={"n": statement.excluded.n}
        )
        result: Any = connection.execute(done)
        return result.rowcount


def inserted_primary_key(ground: Ground) -> object:
    """The key that was given is the key that is told."""
    with ground.engine.begin() as connection:
        result: Any = connection.execute(insert(ITEM).values(id=4))
        return [tuple(result.inserted_primary_key), result.is_insert]


@cases("SELECT 1", "SELECT id, count(*) FROM item GROUP BY id", "SELECT 1 AS a, 2 AS a")
def names_of_columns(ground: Ground, sql: str) -> object:
    """The names that a result gives its columns."""
    with ground.engine.begin() as connection:
        result = connection.execute(text(sql))
        return Names(tuple(result.keys()))


def fetching(ground: Ground) -> object:
    """fetchone, fetchmany, partitions, scalars, mappings."""
    with ground.engine.begin() as connection:
        result = connection.execute(select(ITEM).order_by(ITEM.c.id))
        told: list[Any] = [result.fetchone(), result.fetchmany(1), result.all()]
        again = connection.execute(select(ITEM.c.id).order_by(ITEM.c.id))
        told.append(list(again.partitions(2)))
        told.append(connection.execute(select(ITEM)).mappings().first())
        return [*told, ground.attempt(result.all)]
