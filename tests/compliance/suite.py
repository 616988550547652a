# SQLAlchemy's tests, whole; its plugin finds them by their names in here.
from sqlalchemy.testing.suite import *  # noqa: F403
