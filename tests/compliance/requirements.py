"""What the database of a run can do, whatever drives it.

Nothing is closed because a dialect of ours fails it: whatever is closed fails with
SQLAlchemy's own dialects if it is opened. The rest is SQLAlchemy's default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sqlalchemy.testing import config

from tests.compliance.requirements_postgresql import PostgreSQLRequirements
from tests.compliance.requirements_sqlite import SQLiteRequirements

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.testing.requirements import SuiteRequirements


def of_database() -> SuiteRequirements:
    """Return what the database of the run has and lacks."""
    # The plugin asks for it once it has opened the database.
    if cast("Engine", config.db).name == "postgresql":
        return PostgreSQLRequirements()
    return SQLiteRequirements()
