"""A held message that follows another about its patient has no time of its own until that one is out of the way.

So what is looked through for what is due is as long as there are patients who wait, and not as there are messages. The
database itself gives the next one its time: no way out of a state can forget to.
"""

from alembic import op

revision = "0007"
down_revision = "0006"

_NEXT = (
    "UPDATE message SET due = received_at WHERE id = (SELECT id FROM message WHERE patient = NEW.patient AND "
    "municipality = NEW.municipality AND state = 'held' AND due IS NULL ORDER BY id LIMIT 1)"
)
_LEFT = "OLD.state IN ('held', 'delivering') AND NEW.state NOT IN ('held', 'delivering') AND NEW.patient IS NOT NULL"
_FOLLOWERS = (
    "UPDATE message SET due = NULL WHERE state = 'held' AND EXISTS (SELECT 1 FROM message AS earlier WHERE "
    "earlier.patient = message.patient AND earlier.municipality = message.municipality AND "
    "earlier.state IN ('held', 'delivering') AND earlier.id < message.id)"
)


def upgrade() -> None:
    """Make the trigger, and take its time from what follows another now."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER message_left AFTER UPDATE OF state ON message WHEN {_LEFT} BEGIN {_NEXT}; END",
        )
    else:
        op.execute(
            f"CREATE FUNCTION message_left() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {_NEXT}; RETURN NULL; END $$"
        )
        op.execute(
            "CREATE TRIGGER message_left AFTER UPDATE OF state ON message FOR EACH ROW "
            f"WHEN ({_LEFT}) EXECUTE FUNCTION message_left()"
        )
    op.execute(_FOLLOWERS)
