"""What people search messages and the audit by; and in the decision log why, and what was repaired and lost."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the indexes and the columns."""
    for name in ("of_municipality", "received", "overdue"):
        op.drop_index(f"message_{name}", "message")
    for name in ("municipality", "sender", "state"):
        op.create_index(f"message_of_{name}", "message", [name, "received_at", "id"])
    op.create_index("message_received", "message", ["received_at", "id"])
    for name in ("possible_duplicate", "identifier_reused", "overdue"):
        is_so, columns = (sa.text(f"{name} = 1"), sa.text(name)), ["received_at", "id"]
        op.create_index(f"message_{name}", "message", columns, sqlite_where=is_so[0], postgresql_where=is_so[1])
    op.create_index("audit_at", "audit", ["at"])
    for name in ("actor", "action", "target"):
        op.create_index(f"audit_{name}", "audit", [name, "id"])
    for name in ("diagnostics", "repairs", "losses"):
        op.add_column("decision", sa.Column(name, sa.Text))
