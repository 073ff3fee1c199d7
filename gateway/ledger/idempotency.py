"""Requests with an Idempotency-Key: claimed before their work, marked in the transaction of the work, answered alike for a day.

A claim that is not marked has changed nothing: once its lease has ended, whoever asks next takes it over, and the work of
the one before can no longer be committed. A claim that is marked and has no answer was cut short: what came of it is not known.
"""

from msgspec import Struct
from sqlalchemy import Connection, Update, delete, func, select, update

from gateway.ledger.tables import IDEMPOTENCY
from gateway.ledger.upserts import insert_into
from gateway.times import DAY

I = IDEMPOTENCY.c  # noqa: E741 - as the other modules call the columns of theirs
KEPT = DAY
"""Seconds for which a key stands for its first request."""
LEASE = 120.0
"""Seconds for which a claim is of the process that made it, which may still be at work."""
MOST = 10_000
"""Answers that are kept; the oldest go first."""


class Claim(Struct, frozen=True):
    """One request that is being done."""

    key: str
    """A keyed hash of who asks, where, and of the Idempotency-Key."""
    owner: str
    """A random word, by which a request knows its own claim."""


class KnownRequest(Struct, frozen=True):
    """What the ledger has of a request with the same key."""

    content: str
    """A keyed hash of the body."""
    is_begun: bool
    """Whether something of it may have been done."""
    is_leased: bool
    """Whether its process may still be at work."""
    answer: bytes | None = None
    """Sealed for the key."""


def claim(  # noqa: PLR0913 - a request, and a bound
    connection: Connection, wanted: Claim, content: str, now: float, *, is_begun: bool = False, most: int = MOST
) -> KnownRequest | None:
    """Claim a request, and return None; or return what is known of the one that has its key.

    `is_begun` marks it at once: its work is done outside the ledger. `now` is in seconds since the epoch, `most` how many
    answers are kept.
    """
    purge(connection, now - KEPT)
    values = {"content": content, "owner": wanted.owner, "at": now, "is_begun": is_begun}
    new = insert_into(IDEMPOTENCY, connection.dialect.name)
    added = new.values(key=wanted.key, **values).on_conflict_do_nothing().returning(I.key)
    if connection.execute(added).first() is not None:
        _bound(connection, most)
        return None
    over = update(IDEMPOTENCY).where(
        I.key == wanted.key, I.answer.is_(None), I.is_begun.is_(False), ~I.at.between(now - LEASE, now + LEASE)
    )
    if connection.execute(over.values(**values)).rowcount == 1:
        return None
    row = connection.execute(select(IDEMPOTENCY).where(I.key == wanted.key)).one_or_none()
    if row is None:  # released by another node since: it refused the request
        return KnownRequest(content, is_begun=False, is_leased=True)
    return KnownRequest(row.content, row.is_begun, abs(row.at - now) <= LEASE, row.answer)


def mark_begun(connection: Connection, own: Claim) -> bool:
    """Mark a claim, in the transaction of its work; return False where it is another's now, and the work must not be done."""
    return connection.execute(_own(own).values(is_begun=True)).rowcount == 1


def keep_answer(connection: Connection, own: Claim, answer: bytes) -> None:
    """Keep the answer of a claim, sealed."""
    connection.execute(_own(own).values(is_begun=True, answer=answer))


def release(connection: Connection, own: Claim, *, unless_begun: bool) -> None:
    """Let the same be asked for again: nothing was done."""
    statement = delete(IDEMPOTENCY).where(I.key == own.key, I.owner == own.owner)
    connection.execute(statement.where(I.is_begun.is_(False)) if unless_begun else statement)


def purge(connection: Connection, before: float) -> int:
    """Forget the keys that were used before a time; return how many."""
    return connection.execute(delete(IDEMPOTENCY).where(I.at < before)).rowcount


def _own(own: Claim) -> Update:
    return update(IDEMPOTENCY).where(I.key == own.key, I.owner == own.owner)


def _bound(connection: Connection, most: int) -> None:
    """Forget the oldest answers where there are too many; what has none yet stays until its day has ended."""
    too_many = connection.execute(select(func.count()).select_from(IDEMPOTENCY)).scalar_one() - most
    if too_many > 0:
        oldest = select(I.key).where(I.answer.is_not(None)).order_by(I.at).limit(too_many)
        connection.execute(delete(IDEMPOTENCY).where(I.key.in_(oldest.scalar_subquery())))
