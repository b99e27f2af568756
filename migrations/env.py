"""Alembic's entry: migrates the connection that rag.store.database hands over, in its transaction."""

from alembic import context

from rag.store.tables import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("run migrations with `rag db upgrade`, which opens the database named by the settings")

context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
