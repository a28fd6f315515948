"""Alembic's environment: the connection comes from `dbclient.migration`."""

from alembic import context

from dbclient.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
