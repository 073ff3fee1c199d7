"""National numbers by the record system's own, as VKP's lists have told."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "learnt_number",
        sa.Column("municipality", sa.Text, primary_key=True),
        sa.Column("hash", sa.Text, primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("learnt_at", sa.Double, nullable=False),
    )
    op.create_index("learnt_number_at", "learnt_number", ["municipality", "learnt_at"])
