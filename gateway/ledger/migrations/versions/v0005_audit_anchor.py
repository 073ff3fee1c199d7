"""Where the audit begins that retention has shortened already: the first entry that follows it is checked from now on."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Take the first entry for the anchor, where it is not the first of all."""
    op.execute(
        sa.text(
            "INSERT INTO run (job, at, node, outcome) SELECT 'audit-anchor', at, node, id || ' ' || hash FROM audit "
            "WHERE id = (SELECT min(id) FROM audit) AND id > 1"
        )
    )
