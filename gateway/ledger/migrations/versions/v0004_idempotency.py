"""Requests with an Idempotency-Key, and their answers."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "idempotency",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("is_begun", sa.Boolean, nullable=False),
        sa.Column("answer", sa.LargeBinary),
    )
    op.create_index("idempotency_at", "idempotency", ["at"])
