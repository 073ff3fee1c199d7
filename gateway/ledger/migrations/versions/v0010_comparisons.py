"""Comparisons of answers, and what differed."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_CELL = ("municipality", "vendor", "system", "information")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "comparison",
        sa.Column("day", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.Text, primary_key=True) for name in (*_CELL, "outcome")),
        sa.Column("answers", sa.Integer, nullable=False),
    )
    op.create_table(
        "difference",
        *(sa.Column(name, sa.Text, primary_key=True) for name in (*_CELL, "fingerprint")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("path", "kind", "correlation_id")),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("answers", "places")),
        sa.Column("is_accepted", sa.Boolean, nullable=False),
        *(sa.Column(name, sa.Double, nullable=False) for name in ("first_seen", "last_seen")),
    )
    op.create_index("difference_last_seen", "difference", ["last_seen"])
