"""How alembic reaches the database: one connection, one transaction for all revisions.

The URL comes from the application's settings and not from alembic.ini, whose interpolation would
stumble over a percent sign. There is no autogenerate: the migrations are the truth, and the
application's classes name only what it uses.
"""

import os
from logging.config import fileConfig

from alembic import context
from construction_app.settings import load_settings
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import OperationalError

# Seconds. libpq waits for ever, and a migration that hangs says nothing of why.
CONNECT_TIMEOUT_S = 10

if context.config.config_file_name is not None:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)

if context.is_offline_mode():
    raise SystemExit("alembic: --sql: not supported\nhint: run it against the database")

url = load_settings(os.environ).database_url.get_secret_value()
engine = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_TIMEOUT_S})
try:
    connected = engine.connect()
except OperationalError as error:
    raise SystemExit(f"alembic: DATABASE_URL: {str(error.orig).strip()}\nhint: is the database up?") from None
with connected as connection:
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()
