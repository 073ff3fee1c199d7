"""The first tables: messages, audit, runs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "message",
        sa.Column("id", _number, primary_key=True, autoincrement=True),
        sa.Column("reference", sa.Text, nullable=False, unique=True),
        sa.Column("received_at", sa.Double, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("surface", "municipality", "sender")),
        *(sa.Column(name, sa.Text) for name in ("vendor", "system", "information", "patient", "identity")),
        sa.Column("copy", sa.Text, unique=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("promised", sa.Boolean, nullable=False),
        sa.Column("told", sa.Boolean, nullable=False),
        sa.Column("resend_unclear", sa.Boolean, nullable=False),
        sa.Column("acknowledge_within", sa.Double, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("lease", sa.Double),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("looks", sa.Integer, nullable=False, server_default="0"),
        sa.Column("due", sa.Double),
        *(sa.Column(name, sa.Text) for name in ("upstream", "event_id", "event_kind")),
        sa.Column("delivered_at", sa.Double),
        sa.Column("overdue_at", sa.Double),
        sa.Column("status", sa.Integer),
        *(
            sa.Column(name, sa.Boolean, nullable=False, server_default=sa.text("false"))
            for name in ("possible_duplicate", "identifier_reused", "overdue")
        ),
        sa.Column("payload", sa.LargeBinary),
        sa.Column("history", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("message_due", "message", ["state", "due", "id"])
    op.create_index("message_of_patient", "message", ["patient", "municipality", "state", "id"])
    op.create_index("message_identity", "message", ["identity"])
    op.create_index("message_of_municipality", "message", ["municipality", "id"])
    op.create_index("message_received", "message", ["received_at"])
    is_overdue = sa.text("overdue")
    op.create_index(
        "message_overdue",
        "message",
        ["municipality"],
        # As SQLAlchemy writes the condition there: SQLite uses such an index only where it reads the same.
        sqlite_where=sa.text("overdue = 1"),
        postgresql_where=is_overdue,
    )
    kept = sa.text("payload IS NOT NULL")
    op.create_index("message_with_payload", "message", ["received_at"], sqlite_where=kept, postgresql_where=kept)
    op.create_table(
        "audit",
        sa.Column("id", _number, primary_key=True, autoincrement=True),
        sa.Column("at", sa.Double, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("node", "actor", "action", "target")),
        *(sa.Column(name, sa.Text) for name in ("reason", "detail")),
        sa.Column("hash", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "run",
        sa.Column("job", sa.Text, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
    )
