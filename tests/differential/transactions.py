"""Begin, commit, raise, savepoints, use after the end."""
# ruff: noqa: D401 - a scenario says what is, it orders nothing

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.differential._ground import add, rows, run

if TYPE_CHECKING:
    from tests.differential._ground import Ground


def begin_commits(ground: Ground) -> None:
    """Leaving begin() commits."""
    with ground.engine.begin() as connection:
        add(connection, 4)


def begin_rolls_back(ground: Ground) -> None:
    """An exception that leaves begin() rolls back."""
    with ground.engine.begin() as connection:
        add(connection, 4)
        raise KeyError("mine")


def begin_without_a_statement(ground: Ground) -> None:
    """begin() alone tells the server nothing, or a BEGIN and its COMMIT."""
    with ground.engine.begin():
        pass


def connect_without_a_statement(ground: Ground) -> None:
    """connect() alone tells the server nothing."""
    with ground.engine.connect():
        pass


def connect_and_read(ground: Ground) -> object:
    """What was begun by a SELECT ends with a ROLLBACK."""
    with ground.engine.connect() as connection:
        return rows(connection, "SELECT * FROM item ORDER BY id")


def connect_and_forget(ground: Ground) -> None:
    """Without commit() nothing stays."""
    with ground.engine.connect() as connection:
        add(connection, 4)


def commit_as_you_go(ground: Ground) -> None:
    """commit() keeps what is before it, and not what is after it."""
    with ground.engine.connect() as connection:
        add(connection, 4)
        connection.commit()
        add(connection, 5)


def rollback_as_you_go(ground: Ground) -> None:
    """rollback() drops what is before it, and not what is after it."""
    with ground.engine.connect() as connection:
        add(connection, 4)
        connection.rollback()
        add(connection, 5)
        connection.commit()


def commit_with_nothing(ground: Ground) -> object:
    """commit() and rollback() without a transaction do nothing."""
    with ground.engine.connect() as connection:
        connection.commit()
        connection.rollback()
        return connection.in_transaction()


def commit_twice(ground: Ground) -> None:
    """A second commit() does nothing."""
    with ground.engine.connect() as connection:
        add(connection, 4)
        connection.commit()
        connection.commit()


def begin_after_autobegin(ground: Ground) -> object:
    """begin() is refused once a statement has begun the transaction."""
    with ground.engine.connect() as connection:
        rows(connection, "SELECT 1")
        return ground.attempt(connection.begin)


def begin_twice(ground: Ground) -> object:
    """begin() is refused in a transaction."""
    with ground.engine.connect() as connection, connection.begin():
        return ground.attempt(connection.begin)


def begin_after_commit(ground: Ground) -> None:
    """begin() works after commit()."""
    with ground.engine.connect() as connection:
        add(connection, 4)
        connection.commit()
        with connection.begin():
            add(connection, 5)


def commit_in_a_begin_block(ground: Ground) -> object:
    """After commit() in a begin() block nothing more can be executed."""
    with ground.engine.begin() as connection:
        add(connection, 4)
        connection.commit()
        return ground.attempt(add, connection, 5)


def rollback_in_a_begin_block(ground: Ground) -> object:
    """After rollback() in a begin() block nothing more can be executed."""
    with ground.engine.begin() as connection:
        add(connection, 4)
        connection.rollback()
        return ground.attempt(add, connection, 5)


def transaction_object_twice(ground: Ground) -> object:
    """A transaction that has ended cannot be committed."""
    with ground.engine.connect() as connection:
        transaction = connection.begin()
        add(connection, 4)
        transaction.rollback()
        return ground.attempt(transaction.commit)


def in_transaction_all_along(ground: Ground) -> object:
    """in_transaction() follows begin, commit and rollback."""
    with ground.engine.connect() as connection:
        told = [connection.in_transaction()]
        rows(connection, "SELECT 1")
        told.append(connection.in_transaction())
        connection.rollback()
        told.append(connection.in_transaction())
        with connection.begin(), connection.begin_nested():
            told += [connection.in_transaction(), connection.in_nested_transaction()]
        return told


def use_after_close(ground: Ground) -> object:
    """A closed connection refuses statements."""
    connection = ground.engine.connect()
    connection.close()
    return [
        ground.attempt(rows, connection, "SELECT 1"),
        ground.attempt(connection.begin),
        ground.attempt(connection.commit),
        ground.attempt(connection.close),
        connection.closed,
    ]


def close_in_a_transaction(ground: Ground) -> None:
    """close() rolls back."""
    connection = ground.engine.connect()
    add(connection, 4)
    connection.close()


def error_then_statement(ground: Ground) -> object:
    """After an error the server takes nothing but ROLLBACK."""
    with ground.engine.connect() as connection:
        add(connection, 4)
        first = ground.attempt(add, connection, 4)
        second = ground.attempt(rows, connection, "SELECT 1")
        connection.rollback()
        return [first, second, rows(connection, "SELECT 1")]


def error_caught_in_begin(ground: Ground) -> object:
    """COMMIT after an error that was caught is a ROLLBACK."""
    with ground.engine.begin() as connection:
        add(connection, 4)
        return ground.attempt(add, connection, 4)


def error_then_commit(ground: Ground) -> object:
    """commit() after an error raises nothing and keeps nothing."""
    with ground.engine.connect() as connection:
        add(connection, 4)
        caught = ground.attempt(add, connection, 1)
        return [caught, ground.attempt(connection.commit)]


def deferred_constraint(ground: Ground) -> object:
    """A deferred constraint fails at COMMIT."""
    ground.observe(
        "CREATE TABLE d (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED);"
        "INSERT INTO d VALUES (1)"
    )
    with ground.engine.connect() as connection:
        run(connection, "INSERT INTO d VALUES (1)")
        add(connection, 4)
        told = ground.attempt(connection.commit)
        return [told, connection.in_transaction(), rows(connection, "SELECT 1")]


def deferred_constraint_in_begin(ground: Ground) -> None:
    """A deferred constraint fails at the COMMIT of begin()."""
    ground.observe(
        "CREATE TABLE d (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED);"
        "INSERT INTO d VALUES (1)"
    )
    with ground.engine.begin() as connection:
        run(connection, "INSERT INTO d VALUES (1)")
