"""Who asks for a list that tells of numbers, and when one was asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "learnt_list",
        sa.Column("municipality", sa.Text, primary_key=True),
        sa.Column("lease", sa.Double),
        sa.Column("asked_at", sa.Double),
        sa.Column("is_failed", sa.Boolean, nullable=False),
    )
