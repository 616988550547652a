"""What is read from a text of SQL, and PostgreSQL's own opinion of the same text."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from async_layers.drivers._postgresql.shape import cast, first_word, shape_of, untyped

if TYPE_CHECKING:
    from tests.postgresql._people import Observer

# What can make a lexer lose its way.
_HARD = st.text("';$-/*\\\" \n\rae(:%", max_size=8)


def _comment(body: str) -> str:
    return f"/*{body.replace('*', '').replace('/', '')}*/"


def _nested(body: str) -> str:
    return f"/* {_comment(body)} {_comment(body)} */"


BLANKS = st.one_of(
    st.sampled_from(["", " ", "\n", "\t", "\r", "\f"]),
    _HARD.map(_comment),
    _HARD.map(_nested),
    _HARD.map(lambda body: "--" + body.replace("\n", "").replace("\r", "") + "\n"),
    _HARD.map(lambda body: "--" + body.replace("\n", "").replace("\r", "") + "\r"),
)
VALUES = st.one_of(
    _HARD.map(lambda body: "'" + body.replace("'", "''") + "'"),
    _HARD.map(lambda body: "E'" + body.replace("\\", "\\\\").replace("'", "\\'") + "'"),
    _HARD.map(lambda body: "e'" + body.replace("\\", "\\\\").replace("'", "''") + "'"),
    _HARD.map(lambda body: "$$" + body.replace("$", "") + "$$"),
    _HARD.map(lambda body: f"$a1$ $b$ {body.replace('$', '')} $b$ $a1$"),
    _HARD.map(lambda body: '1 AS "x' + body.replace('"', '""') + '"'),
    st.sampled_from(["1", "(1)", "1 AS a$b", "2-1", "CASE WHEN true THEN 1 END"]),
)


@st.composite
def selects(draw: st.DrawFn) -> str:
    """Return a statement that is valid, and hard to read."""
    values = draw(st.lists(VALUES, min_size=1, max_size=3))
    blanks = [draw(BLANKS) for _ in range(3)]
    parted = f" {blanks[1]} , {blanks[1]} ".join(values)
    return f"{blanks[0]} SELECT {blanks[1]} {parted} {blanks[2]}"


def counted_by_server(observer: Observer, text: str) -> int:
    """Return how many statements of SELECT the server finds in a text."""
    cursor = observer.execute(text.encode())
    count = 1
    while cursor.nextset():
        count += 1
    return count


@settings(
    deadline=None,
    max_examples=80,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(statements=st.lists(selects(), min_size=1, max_size=3), end=BLANKS)
def test_statements_are_counted_as_by_the_server(
    observer: Observer, statements: list[str], end: str
) -> None:
    """Strings, names and comments hold semicolons of their own."""
    text = ";".join(statements) + f";{end}"
    heads = shape_of(text).heads
    assert counted_by_server(observer, text) == len(heads)
    assert {"SELECT"} == {head[0] for head in heads}


@given(st.lists(BLANKS, max_size=3))
def test_control_is_seen_after_blanks_and_comments(blanks: list[str]) -> None:
    """A COMMIT is one, whatever stands before it."""
    text = " ".join([*blanks, "COMMIT"])
    assert ("COMMIT", "COMMIT") == (shape_of(text).control, first_word(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select 1", "SELECT"),
        ("\n-- why\n  Insert INTO x", "INSERT"),
        ("/* a /* b */ c */ WITH x AS (SELECT 1) SELECT 1", "WITH"),
        ("(SELECT 1)", "("),
        ("", ""),
        ("-- nothing", ""),
        ("/* nothing */", ""),
        ("SELECTED", "SELECTED"),
    ],
)
def test_first_word_is_found(text: str, expected: str) -> None:
    """Comments and blanks are none."""
    assert expected == first_word(text)


def test_parameters_are_found_where_they_are_ones() -> None:
    """Not in strings, names and comments, and not within a name."""
    text = """SELECT $1, '$2', $$ $3 $$, "$4", a$5, $6::int, $7 /* $8 */ -- $9"""
    parameters = [
        (each.number, each.typed, text[each.start : each.end])
        for each in shape_of(text).parameters
    ]
    assert [(1, False, "$1"), (6, True, "$6"), (7, False, "$7")] == parameters
    assert (1, 7) == untyped(text)


def test_parameter_without_a_cast_somewhere_is_untyped() -> None:
    """It takes one place; each number is told once."""
    assert (1,) == untyped("SELECT $1::int, $2::text WHERE $1 > 0 AND $1 < 9")


def test_cast_is_written_around_each_place() -> None:
    """What has a cast keeps it, and what is not named is left alone."""
    text = "SELECT $1, $2, $10, '$1', $1::int"
    expected = "SELECT ($1::float8), $2, ($10::text), '$1', ($1::float8)::int"
    assert expected == cast(text, {1: "float8", 10: "text"})


@pytest.mark.parametrize("text", ["SELECT 'a; b", "SELECT 1 /* ;", "SELECT $a$ ; $b$"])
def test_text_without_an_end_is_one_statement(text: str) -> None:
    """The server refuses it; nothing is taken from within."""
    assert (("SELECT",), 1) == (shape_of(text).heads[0][:1], len(shape_of(text).heads))


@pytest.mark.parametrize(
    "part", ["'a'", "''", "$$", "/*", "(", "$a$", "--\n", "x ", "E'\\'", "$1 ", ";"]
)
def test_long_text_is_read_at_once(part: str) -> None:
    """Time grows with the length, whatever is repeated."""
    began = time.perf_counter()
    shape_of(part * 20_000)
    assert time.perf_counter() - began < 1
