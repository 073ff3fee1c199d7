"""Rules set at run time, cutovers, rehearsals, decisions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _texts(*names: str, needed: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=not needed) for name in names]


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "rule",
        sa.Column("id", sa.Text, primary_key=True),
        *_texts("layer", needed=True),
        *_texts("municipality", "vendor", "system", "information"),
        *_texts("mode", needed=True),
        *_texts("text", "policies"),
        *_texts("reason", needed=True),
        *_texts("ticket"),
        *_texts("made_by", needed=True),
        sa.Column("made_at", sa.Double, nullable=False),
        sa.Column("until", sa.Double),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("ended_at", sa.Double),
        *_texts("ended_by", "ended_why"),
    )
    op.create_index("rule_now", "rule", ["ended_at", "until"])
    op.create_table(
        "cutover",
        sa.Column("name", sa.Text, primary_key=True),
        *_texts("plan", "hash", "state", needed=True),
        sa.Column("at", sa.Double, nullable=False),
        *_texts("submitted_by", needed=True),
        sa.Column("submitted_at", sa.Double, nullable=False),
        *_texts("approvals", needed=True),
        *_texts("owner"),
        *(sa.Column(name, sa.Double) for name in ("lease", "switched_at", "ended_at")),
        *_texts("report"),
        sa.Column("version", sa.Integer, nullable=False),
        *_texts("history", needed=True),
    )
    op.create_index("cutover_due", "cutover", ["state", "at"])
    op.create_table(
        "verdict",
        sa.Column("hour", sa.Integer, primary_key=True),
        *(
            sa.Column(name, sa.Text, primary_key=True)
            for name in ("municipality", "vendor", "system", "information", "verdict", "reason")
        ),
        sa.Column("messages", sa.Integer, nullable=False),
    )
    op.create_table(
        "decision",
        sa.Column("id", _number, primary_key=True, autoincrement=True),
        sa.Column("at", sa.Double, nullable=False),
        *_texts("reference", "surface", needed=True),
        *_texts("municipality", "sender", "vendor", "system", "information", "mode", "layer", "rule", "route"),
        *_texts("outcome", needed=True),
        sqlite_autoincrement=True,
    )
    op.create_index("decision_at", "decision", ["at"])
    op.create_index("decision_reference", "decision", ["reference"])
    op.create_index("decision_cell", "decision", ["municipality", "vendor", "information", "at"])
    op.create_table(
        "version",
        sa.Column("of", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
    )
