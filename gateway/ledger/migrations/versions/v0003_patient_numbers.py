"""The other numbers of a patient who has several, so that a message is found by each."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "patient_number",
        sa.Column("message", _number, primary_key=True, autoincrement=False),
        sa.Column("patient", sa.Text, primary_key=True),
    )
    op.create_index("patient_number_patient", "patient_number", ["patient"])
