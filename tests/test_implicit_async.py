"""An attribute that is not loaded, under asyncio."""

from __future__ import annotations

from inspect import isawaitable
from typing import TYPE_CHECKING, cast

import pytest
from sqlalchemy import ForeignKey, event, func, insert, select
from sqlalchemy.exc import MissingGreenlet
from sqlalchemy.ext.asyncio import AsyncAttrs, AsyncSession
from sqlalchemy.orm import (
    DeclarativeBase,
    DynamicMapped,
    Mapped,
    Session,
    make_transient_to_detached,
    mapped_column,
    relationship,
    selectinload,
    undefer,
)
from sqlalchemy.orm.exc import DetachedInstanceError

from async_layers import (
    ImplicitIOError,
    async_engine_scope,
    async_sessionmaker,
    create_engine,
    sessionmaker,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sqlalchemy.ext import asyncio
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.orm import ORMExecuteState

    from async_layers._proof.scratch import Scratch


class Base(DeclarativeBase):
    """The base of this module's classes."""


class Author(Base):
    """Somebody with books, a note that is seldom read, and a count that is made."""

    __tablename__ = "author"
    __mapper_args__ = {"eager_defaults": False}  # noqa: RUF012 - SQLAlchemy's form

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(onupdate=func.upper("anna"))
    note: Mapped[str] = mapped_column(deferred=True, server_default="")
    books: Mapped[list[Book]] = relationship(back_populates="author")
    drafts: DynamicMapped[Book] = relationship(viewonly=True)

    @property
    def titles(self) -> list[str]:
        """The titles of the books."""
        return [book.title for book in self.books]


class Book(AsyncAttrs, Base):
    """A book; its attributes can be awaited."""

    __tablename__ = "book"

    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    title: Mapped[str] = mapped_column(active_history=True)
    author: Mapped[Author] = relationship(back_populates="books")


# Where the driver may matter.
on_each_driver = pytest.mark.parametrize(
    "engine", ["sqlite", "asyncpg", "psycopg"], indirect=True
)


@pytest.fixture
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[AsyncEngine]:
    """Return an engine, on SQLite if it is not said, with an author and a book."""
    driver: str = getattr(request, "param", "sqlite")
    place: Scratch = request.getfixturevalue(f"{driver}_place")
    place.fresh()
    async with async_engine_scope(place.urls["async"]) as opened:
        async with opened.begin() as connection:
            await connection.run_sync(Base.metadata.drop_all)
            await connection.run_sync(Base.metadata.create_all)
            await connection.execute(insert(Author).values(id=1, name="anna"))
            await connection.execute(
                insert(Book).values(id=1, author_id=1, title="one")
            )
        yield opened
        async with opened.begin() as connection:
            await connection.run_sync(Base.metadata.drop_all)


@pytest.fixture
def factory(engine: AsyncEngine) -> asyncio.async_sessionmaker[AsyncSession]:
    """Return a factory of ours."""
    return async_sessionmaker(engine)


def after_a_flush(session: AsyncSession, author: Author) -> object:
    """Have a flush expire what the server makes."""
    author.note = "changed"
    return session.flush()


def after_a_commit(session: AsyncSession, _: Author) -> object:
    """Have a commit expire all."""
    session.sync_session.expire_on_commit = True
    return session.commit()


def expired(session: AsyncSession, author: Author) -> None:
    """Expire one attribute by hand."""
    session.expire(author, ["id"])


def nothing(session: AsyncSession, author: Author) -> None:
    """Leave the author as it was loaded."""


@pytest.mark.parametrize(
    ("before", "key", "first"),
    [
        (nothing, "books", "`options(selectinload(Author.books))` with the query"),
        (nothing, "note", "`options(undefer(Author.note))` with the query"),
        (after_a_commit, "name", "`expire_on_commit=False` for the session"),
        (
            after_a_flush,
            "name",
            "`eager_defaults=True` in the class's `__mapper_args__`",
        ),
        (expired, "id", "`await session.scalars(select(Author))`"),
    ],
)
async def test_attribute_that_is_not_loaded_is_named(
    factory: asyncio.async_sessionmaker[AsyncSession],
    before: Callable[[AsyncSession, Author], object],
    key: str,
    first: str,
) -> None:
    """The error says which, on which line, and three things to write."""
    async with factory() as session:
        author = await session.get_one(Author, 1)
        begun = before(session, author)
        if isawaitable(begun):
            await begun
        with pytest.raises(ImplicitIOError) as caught:
            getattr(author, key)
    line = caught.tb.tb_lineno
    here = f"{__file__}:{line} in {test_attribute_that_is_not_loaded_is_named.__name__}"
    message = (
        f"Author.{key} is refused: seen unloaded at {here}, where nothing is "
        f"awaited; write {first}, `await session.refresh(author, ['{key}'])`, or "
        f"`await author.awaitable_attrs.{key}` with AsyncAttrs among the bases of "
        "Author."
    )
    assert message == caught.value.args[0]


async def test_what_the_error_says_to_write_is_right(
    factory: asyncio.async_sessionmaker[AsyncSession],
) -> None:
    """Each of the three loads the attribute."""
    loading = [selectinload(Author.books), undefer(Author.note)]
    async with factory() as session:
        author = await session.get_one(Author, 1, options=loading)
        assert ([1], "") == ([book.id for book in author.books], author.note)
    async with factory() as session:
        author = await session.get_one(Author, 1)
        await session.refresh(author, ["books", "note"])
        assert ([1], "") == ([book.id for book in author.books], author.note)
        await session.refresh(author, ["books", "note"])
    async with factory() as session:
        book = await session.get_one(Book, 1)
        assert "anna" == (await book.awaitable_attrs.author).name
    async with factory() as session:
        author = await session.get_one(Author, 1)
        session.expire(author, ["name"])
        await session.scalars(select(Author))
        assert "anna" == author.name


async def test_class_with_awaitable_attributes_is_not_told_to_have_them(
    factory: asyncio.async_sessionmaker[AsyncSession],
) -> None:
    """Where AsyncAttrs is a base already, the third way stands as it is."""
    async with factory() as session:
        book = await session.get_one(Book, 1)
        with pytest.raises(ImplicitIOError, match=r"book\.awaitable_attrs\.author`\. "):
            _ = book.author


async def test_line_is_that_of_the_property_that_reads(
    factory: asyncio.async_sessionmaker[AsyncSession],
) -> None:
    """What a class computes of its attributes is a program, too."""
    async with factory() as session:
        author = await session.get_one(Author, 1)
        with pytest.raises(
            ImplicitIOError, match=r"Author\.books .* in Author\.titles,"
        ):
            _ = author.titles


async def test_attribute_whose_old_value_is_not_loaded_is_named(
    factory: asyncio.async_sessionmaker[AsyncSession],
) -> None:
    """To replace a collection takes what was in it; a history takes what was."""
    async with factory() as session:
        author = await session.get_one(Author, 1)
        with pytest.raises(ImplicitIOError, match=r"^Author\.books is refused"):
            author.books = []
    async with factory() as session:
        book = await session.get_one(Book, 1)
        session.expire(book)
        with pytest.raises(ImplicitIOError, match=r"^Book\.title is refused"):
            del book.title


async def test_statement_that_no_attribute_sends_is_refused_as_well(
    factory: asyncio.async_sessionmaker[AsyncSession],
) -> None:
    """A Query, as a dynamic relationship is one, has no await either."""
    async with factory() as session:
        author = await session.get_one(Author, 1)
        for read in (author.drafts.all, session.sync_session.query(Author).all):
            with pytest.raises(
                ImplicitIOError, match=r"^A statement is refused: seen "
            ):
                read()


@on_each_driver
async def test_error_is_one_of_sqlalchemys(
    factory: asyncio.async_sessionmaker[AsyncSession],
) -> None:
    """Who has caught MissingGreenlet catches it, and finds the page about it."""
    async with factory() as session:
        author = await session.get_one(Author, 1)
        with pytest.raises(MissingGreenlet, match=r"sqlalche\.me/e/21/xd2s"):
            _ = author.books


@on_each_driver
async def test_session_goes_on_after_the_error(
    engine: AsyncEngine, factory: asyncio.async_sessionmaker[AsyncSession]
) -> None:
    """The refused statement was not sent, and the transaction is whole."""
    async with factory.begin() as session:
        author = await session.get_one(Author, 1)
        author.name = "berta"
        with pytest.raises(ImplicitIOError):
            _ = author.books
    async with factory() as session:
        assert "berta" == (await session.get_one(Author, 1)).name
    assert 0 == engine.pool.checkedout()  # type: ignore[attr-defined]


# What is not refused


async def test_blocking_function_loads_what_it_reads(
    factory: asyncio.async_sessionmaker[AsyncSession],
) -> None:
    """run_sync() awaits for it, lazy loads and hooks of events and all."""
    seen = list[int]()

    def loaded(author: Author, _: object) -> None:
        seen.extend(book.id for book in author.books)

    def read(session: Session) -> list[str]:
        return session.get_one(Author, 1).titles

    event.listen(Author, "load", loaded, restore_load_context=True)
    try:
        async with factory() as session:
            assert ["one"] == await session.run_sync(read)
    finally:
        event.remove(Author, "load", loaded)
    assert [1] == seen


async def test_detached_object_is_told_of_by_sqlalchemy(
    factory: asyncio.async_sessionmaker[AsyncSession],
) -> None:
    """An object of no session cannot be loaded in either world."""
    async with factory() as session:
        author = await session.get_one(Author, 1)
    with pytest.raises(DetachedInstanceError):
        _ = author.books


async def test_answer_of_a_hook_needs_no_await(
    factory: asyncio.async_sessionmaker[AsyncSession],
) -> None:
    """A cache that answers in the place of the database is asked before."""
    async with factory() as session:
        author = await session.get_one(Author, 1)
        kept = (await session.execute(select(Book))).freeze()

        @event.listens_for(session.sync_session, "do_orm_execute")
        def answer(asked: ORMExecuteState) -> object:
            return kept() if asked.is_relationship_load else None

        assert ["one"] == author.titles


async def test_blocking_engine_below_a_session_is_asked(
    factory: asyncio.async_sessionmaker[AsyncSession], tmp_path: object
) -> None:
    """What a blocking driver answers, nobody has to await."""
    blocking = create_engine(f"sqlite:///{tmp_path}/other.db")
    Base.metadata.create_all(blocking)
    async with factory() as session:
        session.sync_session.bind_mapper(Author, blocking)
        author = Author(id=1, name="anna")
        make_transient_to_detached(author)
        session.add(author)
        with pytest.raises(ImplicitIOError, match=r"^Author\.books"):
            _ = author.books
        session.sync_session.bind_mapper(Book, blocking)
        assert [] == author.books
        await session.commit()
    blocking.dispose()


def test_blocking_session_loads_what_is_read(sqlite_place: Scratch) -> None:
    """Nothing is refused in the blocking world."""
    blocking = create_engine(sqlite_place.urls["sync"])
    Base.metadata.create_all(blocking)
    with sessionmaker(blocking)() as session:
        session.add(Author(id=2, name="carl"))
        session.flush()
        session.expire_all()
        assert ("carl", []) == (session.get_one(Author, 2).name, [])
        assert [] == session.get_one(Author, 2).titles
        session.rollback()
    Base.metadata.drop_all(blocking)
    blocking.dispose()


async def test_connection_that_nobody_awaits_is_told_of_by_sqlalchemy(
    engine: AsyncEngine,
) -> None:
    """Layers 1 and 2 have no attributes that could be named."""
    await engine.dispose()  # a connection that is there already needs no I/O
    with pytest.raises(MissingGreenlet) as caught:
        engine.sync_engine.connect()
    assert MissingGreenlet is caught.type


class OurSession(Session):
    """A blocking session of the user's own class."""


class OurAsyncSession(AsyncSession):
    """An asyncio session of the user's own class."""

    sync_session_class = OurSession


async def test_sessions_of_any_class_refuse(engine: AsyncEngine) -> None:
    """The user's classes stay what they are, however they are given."""
    ours = async_sessionmaker(engine, class_=OurAsyncSession)
    late = async_sessionmaker(engine)
    late.configure(sync_session_class=OurSession)
    given = async_sessionmaker(engine, sync_session_class=OurSession)
    for factory in (ours, late, given):
        async with cast("asyncio.async_sessionmaker[AsyncSession]", factory)() as one:
            assert isinstance(one.sync_session, OurSession)
            assert "OurSession" == type(one.sync_session).__name__
            author = await one.get_one(Author, 1)
            with pytest.raises(ImplicitIOError):
                _ = author.books
    assert ours.class_.__name__ == "OurAsyncSession"
