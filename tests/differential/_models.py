"""The classes that sessions map."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """What is mapped."""


class Item(Base):
    """A row of the table that each scenario has."""

    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    n: Mapped[int | None]


class Owner(Base):
    """One who has pets."""

    __tablename__ = "owner"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    pets: Mapped[list[Pet]] = relationship(order_by="Pet.id")


class Pet(Base):
    """One of an owner's."""

    __tablename__ = "pet"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("owner.id"))


class Counted(Base):
    """A row that counts its versions."""

    __tablename__ = "counted"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's way


TABLES = """
    CREATE TABLE owner (id serial PRIMARY KEY, name text NOT NULL);
    CREATE TABLE pet (id serial PRIMARY KEY, owner_id int REFERENCES owner);
    CREATE TABLE counted (id serial PRIMARY KEY, name text, version int);
    INSERT INTO owner (name) VALUES ('o'); INSERT INTO pet (owner_id) VALUES (1), (1);
    INSERT INTO counted (name, version) VALUES ('x', 1), ('y', 1);
"""
