"""Load SQLAlchemy's plugin for pytest, our dialects and what they share."""
import pytest
pytest.register_assert_rewrite("sqlalchemy.testing.assertions")
from sqlalchemy.testing.plugin.pytestplugin import *
from sqlalchemy import event
import sqlalchemy.dialects.sqlite.provision as p
from sqlalchemy.testing.provision import post_configure_testing_engine
orig = post_configure_testing_engine.fns["sqlite"]
@post_configure_testing_engine.for_db("sqlite")
def post(url, engine, options, scope):
    orig(url, engine, options, scope)
    if scope != "global":
        @event.listens_for(engine, "connect")
        def connect(c, r):
            c.execute(f'ATTACH DATABASE "{engine.driver}_test_schema.db" AS test_schema')
