"""The tables of the facts, and what stands in them when a fact begins."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The base of the facts' classes."""


class Account(Base):
    """Somebody's account; its balance is never below zero."""

    __tablename__ = "account"
    __table_args__ = (CheckConstraint("balance >= 0", name="balance_not_negative"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(unique=True)
    balance: Mapped[int]
    entries: Mapped[list[Entry]] = relationship(
        back_populates="account", cascade="all, delete-orphan"
    )


class Entry(Base):
    """One booking; it belongs to an account, at the latest when it is committed."""

    __tablename__ = "entry"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", deferrable=True))
    amount: Mapped[int]
    account: Mapped[Account] = relationship(back_populates="entries")


class Document(Base):
    """A text that two people may edit; its version tells them."""

    __tablename__ = "document"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's form


SEED = """
INSERT INTO account (id, owner, balance) VALUES (1, 'anna', 100), (2, 'bert', 50);
INSERT INTO entry (id, account_id, amount) VALUES (1, 1, 60), (2, 1, 40);
INSERT INTO document (id, title, version) VALUES (1, 'draft', 1);
"""
