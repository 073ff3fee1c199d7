"""Identifiers of copied patients stand in the order in which they are looked for, and say which is the patient's first."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_MOVE = (
    'INSERT INTO replica_identifier_new (municipality, generation, hash, "row", is_first) '
    "SELECT old.municipality, old.generation, old.hash, old.row, coalesce(old.hash = replica_patient.patient, false) "
    'FROM replica_identifier AS old JOIN replica_patient ON replica_patient.id = old."row" '
    'ORDER BY old.municipality, old.generation, old.hash, old."row"'
)


def upgrade() -> None:
    """Move the rows; copies go on answering."""
    op.create_table(
        "replica_identifier_new",
        sa.Column("municipality", sa.Text, primary_key=True),
        sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.Text, primary_key=True),
        sa.Column("row", _number, primary_key=True, autoincrement=False),
        sa.Column("is_first", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute(_MOVE)
    op.drop_table("replica_identifier")
    op.rename_table("replica_identifier_new", "replica_identifier")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER INDEX replica_identifier_new_pkey RENAME TO replica_identifier_pkey")
    op.create_index("replica_identifier_row", "replica_identifier", ["row"])
    op.drop_index("replica_patient_number", "replica_patient")
