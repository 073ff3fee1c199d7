"""What is shared of a message has no time of its own until the message is journaled, and nothing of it is kept when that never will be.

So what is looked through for what is due is as long as there is to share, and not as there are messages that wait. The database
itself follows the message: no way into or out of a state can forget to. What is given up so is told of by whoever looks next
(`due` of what is given up, until then).
"""

from alembic import op

revision = "0013"
down_revision = "0012"

_JOURNALED = "('delivered', 'read', 'acknowledged')"
_IS_JOURNALED = f"OLD.state NOT IN {_JOURNALED} AND NEW.state IN {_JOURNALED}"
_IS_NOT_ANY_MORE = f"OLD.state IN {_JOURNALED} AND NEW.state NOT IN {_JOURNALED}"
_IS_OVER = "NEW.state IN ('refused', 'discarded', 'returned') AND OLD.state <> NEW.state"
# What was refused may have been journaled all the same: what was kept to share is gone then, and whoever has its turn says so.
_DUE = "UPDATE share SET state = 'waiting', due = created_at WHERE message = NEW.id AND state IN ('waiting', 'not-journaled')"
_NOT_DUE = "UPDATE share SET due = NULL WHERE message = NEW.id AND state = 'waiting'"


def _ended(state: str, whose: str) -> tuple[str, ...]:
    """Return what ends the shares of a message that is in `state`."""
    is_refused = f"{state} = 'refused'"
    into = f"CASE WHEN {is_refused} THEN 'not-journaled' ELSE 'given-up' END"
    due = f"CASE WHEN {is_refused} THEN NULL ELSE created_at END"
    reason = f"'its message was ' || {state}"
    return (
        f"UPDATE share SET state = {into}, reason = {reason}, due = {due} WHERE {whose} AND state = 'waiting'",  # noqa: S608 - no value of anybody's
        f"UPDATE share SET payload = NULL WHERE {whose} AND payload IS NOT NULL",  # noqa: S608 - likewise
    )


_TRIGGERS = {
    "message_journaled": (_IS_JOURNALED, (_DUE,)),
    "message_not_journaled": (_IS_NOT_ANY_MORE, (_NOT_DUE,)),
    "message_over": (_IS_OVER, _ended("NEW.state", "message = NEW.id")),
}
_STATE = "(SELECT message.state FROM message WHERE message.id = share.message)"


def upgrade() -> None:
    """Make the triggers, and do what they would have done."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for name, (when, statements) in _TRIGGERS.items():
        does = "".join(f"{statement}; " for statement in statements)
        if is_sqlite:
            op.execute(f"CREATE TRIGGER {name} AFTER UPDATE OF state ON message WHEN {when} BEGIN {does}END")
        else:
            op.execute(
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {does}RETURN NULL; END $$"
            )
            op.execute(
                f"CREATE TRIGGER {name} AFTER UPDATE OF state ON message FOR EACH ROW WHEN ({when}) "
                f"EXECUTE FUNCTION {name}()"
            )
    op.create_index("share_reference", "share", ["reference"])
    op.execute(
        "UPDATE share SET state = 'not-journaled' WHERE state = 'given-up' AND reason = 'not journaled' "  # noqa: S608 - likewise
        f"AND {_STATE} = 'refused'"
    )
    for statement in _ended(_STATE, f"{_STATE} IN ('refused', 'discarded', 'returned')"):
        op.execute(statement)
    op.execute(
        f"UPDATE share SET due = NULL WHERE state = 'waiting' AND coalesce({_STATE}, '') NOT IN {_JOURNALED}"  # noqa: S608 - likewise
    )
