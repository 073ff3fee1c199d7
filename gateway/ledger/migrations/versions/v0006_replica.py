"""The local copies of patients and their services."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "replica_feed",
        sa.Column("municipality", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("serving", sa.Integer),
        sa.Column("owner", sa.Text),
        sa.Column("lease", sa.Double),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("failure", sa.Text),
        sa.Column("failed_at", sa.Double),
    )
    op.create_table(
        "replica_generation",
        sa.Column("municipality", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("generation", sa.Integer, primary_key=True),
        sa.Column("maker", sa.Text, nullable=False),
        sa.Column("began_at", sa.Double, nullable=False),
        sa.Column("complete_at", sa.Double),
        sa.Column("since", sa.Text, nullable=False),
        sa.Column("cursor", sa.LargeBinary),
        sa.Column("window_at", sa.Double),
        sa.Column("read_to", sa.Text),
        *(sa.Column(name, sa.Double) for name in ("asked_at", "fresh_at")),
        *(sa.Column(name, sa.Integer, nullable=False, server_default="0") for name in ("pages", "entries")),
    )
    op.create_table(
        "replica_patient",
        sa.Column("id", _number, primary_key=True, autoincrement=True),
        sa.Column("municipality", sa.Text, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("patient", sa.Text),
        sa.Column("updated", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    resource = ["municipality", "generation", "resource"]
    op.create_index("replica_patient_resource", "replica_patient", resource, unique=True)
    op.create_index("replica_patient_number", "replica_patient", ["municipality", "generation", "patient"])
    op.create_table(
        "replica_identifier",
        sa.Column("row", _number, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.Text, primary_key=True),
        sa.Column("municipality", sa.Text, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
    )
    op.create_index("replica_identifier_hash", "replica_identifier", ["municipality", "generation", "hash"])
    op.create_table(
        "replica_service",
        sa.Column("id", _number, primary_key=True, autoincrement=True),
        sa.Column("municipality", sa.Text, nullable=False),
        sa.Column("patient", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("iplos", sa.Integer),
        *(sa.Column(name, sa.Text) for name in ("level", "begins", "ends")),
        sa.Column("is_ceased", sa.Boolean, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sqlite_autoincrement=True,
    )
    op.create_index("replica_service_patient", "replica_service", ["municipality", "patient"])
    op.create_index("replica_service_iplos", "replica_service", ["municipality", "iplos"])
