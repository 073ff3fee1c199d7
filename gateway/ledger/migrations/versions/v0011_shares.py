"""What of messages is shared with other services."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "share",
        sa.Column("id", _number, primary_key=True, autoincrement=True),
        sa.Column("message", _number, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("target", "reference", "municipality", "state")),
        *(sa.Column(name, sa.Text) for name in ("reason", "left_out", "owner")),
        sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("created_at", sa.Double, nullable=False),
        *(sa.Column(name, sa.Double) for name in ("due", "ended_at", "lease")),
        sa.Column("payload", sa.LargeBinary),
        sqlite_autoincrement=True,
    )
    op.create_index("share_of_message", "share", ["message", "target"], unique=True)
    op.create_index("share_due", "share", ["state", "due"])
