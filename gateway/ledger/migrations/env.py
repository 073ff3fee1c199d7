"""What Alembic runs: the connection is given by whoever opens the ledger."""

from alembic import context

from gateway.ledger.tables import RULE

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=RULE.metadata, render_as_batch=True, transactional_ddl=True)
context.run_migrations()
